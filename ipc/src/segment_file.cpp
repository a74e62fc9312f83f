// SPDX-License-Identifier: Apache-2.0
// Finding, checking, locking, making and removing the file of a named segment; see the header for the order.
#include "segment_file.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/file.h>
#include <thread>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include <sluice/detail/call_remedy.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/pages.hpp>
#include <sluice/detail/path.hpp>
#include <sluice/error.hpp>
#include <sluice/ipc/control.hpp>
#include <sluice/ipc/segment_shape.hpp>

namespace sluice::ipc {
namespace {

constexpr std::uint64_t kFileMagic = 0x0031656369756c73;  // "sluice1" and a zero, as it lies in memory.
constexpr std::size_t kMostHeaderBytes = std::size_t{64} << 20;
constexpr const char* kOpen = "open the segment";
constexpr const char* kMake = "make the segment";
constexpr const char* kWhereItCanBe =
    "set segment.path to a file in a directory that can be written, as in /dev/shm";

// The front of the file, followed by the text of the shape. Magic and version stay where they are for good.
struct FileHeader {
  std::uint64_t magic;
  std::uint32_t layout_version;
  std::int32_t maker_pid;
  std::uint64_t file_bytes;
  std::uint64_t shape_bytes;
  std::int64_t made_at_s;  // Since the epoch.
  char boot_id[40];
};
static_assert(sizeof(FileHeader) == 80);

// A former host may be gone while its master is still ending the workers.
constexpr std::chrono::seconds kLastBreath{2};

std::string boot_id() {
  std::ifstream file{"/proc/sys/kernel/random/boot_id"};
  std::string id;
  if (!(file >> id) || id.size() >= sizeof(FileHeader::boot_id)) {
    throw Error{{"read", "/proc/sys/kernel/random/boot_id", errno_text(), "mount /proc"}};
  }
  return id;
}

std::string local_time(std::int64_t seconds) {
  const auto time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  char text[32] = "an unknown time";
  if (::localtime_r(&time, &parts) != nullptr) std::strftime(text, sizeof(text), "%F %T", &parts);
  return text;
}

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

bool holds_open(const std::filesystem::path& process, const struct stat& file) {
  std::error_code gone;
  for (std::filesystem::directory_iterator at{process / "fd", gone}, end; !gone && at != end;
       at.increment(gone)) {
    struct stat found {};
    if (::stat(at->path().c_str(), &found) == 0 && same_file(found, file)) return true;
  }
  return false;
}

// Who has the file open, for an error: "4711 (market), 4712 (sluice-master)".
std::string users_of(int fd) {
  constexpr std::size_t kMost = 8;
  struct stat file {};
  ::fstat(fd, &file);
  std::vector<std::string> users;
  std::error_code error;
  for (std::filesystem::directory_iterator at{"/proc", error}, end; !error && at != end;
       at.increment(error)) {
    const std::string pid = at->path().filename();
    if (!std::all_of(pid.begin(), pid.end(), [](unsigned char c) { return c >= '0' && c <= '9'; })) continue;
    // This process has just opened it to look.
    if (pid == std::to_string(::getpid()) || !holds_open(at->path(), file)) continue;
    std::string name;
    std::getline(std::ifstream{at->path() / "comm"}, name);
    users.push_back(fmt::format("{} ({})", pid, name));
  }
  if (users.empty()) return "a process that cannot be seen from here, or an engine of this process";
  const std::size_t more = users.size() > kMost ? users.size() - kMost : 0;
  users.resize(users.size() - more);
  return fmt::format("{}{}", fmt::join(users, ", "), more == 0 ? "" : fmt::format(" and {} more", more));
}

// A line of a shape: "subject: fact".
struct Line {
  std::string_view subject;
  std::string_view fact;
};

std::vector<Line> lines_of(std::string_view shape) {
  std::vector<Line> lines;
  while (!shape.empty()) {
    const std::string_view line = shape.substr(0, shape.find('\n'));
    shape.remove_prefix(std::min(line.size() + 1, shape.size()));
    const std::size_t colon = std::min(line.find(": "), line.size());
    lines.push_back({line.substr(0, colon), line.substr(std::min(colon + 2, line.size()))});
  }
  return lines;
}

// Names in a file that another program may have written go to a terminal.
std::string printable(std::string_view text) {
  constexpr std::size_t kMost = 200;
  std::string shown{text.substr(0, kMost)};
  std::replace_if(
      shown.begin(), shown.end(), [](unsigned char c) { return c < ' ' || c > '~'; }, '?');
  return shown;
}

// Of a file that this user made with this version, -1 and nothing else otherwise.
struct OpenHeader {
  sluice::detail::Descriptor file;
  FileHeader header{};
};
OpenHeader open_header(const std::string& path) {
  OpenHeader open{
      sluice::detail::Descriptor{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK)}};
  if (!open.file) return open;
  struct stat found {};
  FileHeader& header = open.header;
  const int fd = open.file.get();
  const bool sound = ::fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_uid == ::geteuid() &&
                     ::pread(fd, &header, sizeof(header), 0) == static_cast<ssize_t>(sizeof(header)) &&
                     header.magic == kFileMagic && header.layout_version == kLayoutVersion &&
                     header.file_bytes == static_cast<std::uint64_t>(found.st_size) &&
                     header.shape_bytes <= std::min<std::uint64_t>(header.file_bytes, kMostHeaderBytes);
  header.boot_id[sizeof(header.boot_id) - 1] = '\0';
  if (!sound) open.file.reset();
  return open;
}

}  // namespace

std::optional<std::string> shape_in_file(const std::string& path) {
  const OpenHeader open = open_header(path);
  if (!open.file) return std::nullopt;
  std::string shape(open.header.shape_bytes, '\0');
  if (::pread(open.file.get(), shape.data(), shape.size(), sizeof(FileHeader)) !=
      static_cast<ssize_t>(shape.size()))
    return std::nullopt;
  return shape;
}

void refuse_where_no_segment_can_be(const std::string& path) {
  SegmentFile file{path, {}};
  if (!file.is_there()) file.open_nameless();
}

bool is_of_another_boot(const std::string& path) {
  const OpenHeader open = open_header(path);
  return open.file && boot_id() != open.header.boot_id;
}

std::string shape_difference(std::string_view in_file, std::string_view now) {
  if (in_file == now) return {};
  const std::vector<Line> then = lines_of(in_file);
  const std::vector<Line> today = lines_of(now);
  const auto find = [](const std::vector<Line>& lines, const Line& wanted) {
    return std::find_if(lines.begin(), lines.end(),
                        [&wanted](const Line& line) { return line.subject == wanted.subject; });
  };
  std::vector<std::string> found;
  for (const Line& line : today) {
    const auto other = find(then, line);
    if (other == then.end()) {
      found.push_back(fmt::format("{}: not in the file, {} now", line.subject, line.fact));
    } else if (other->fact != line.fact) {
      found.push_back(
          fmt::format("{}: {} in the file, {} now", line.subject, printable(other->fact), line.fact));
    }
  }
  for (const Line& line : then) {
    if (find(today, line) != today.end()) continue;
    found.push_back(
        fmt::format("{}: {} in the file, not there now", printable(line.subject), printable(line.fact)));
  }
  if (found.empty()) return "its parts stand in another order";
  // What comes first is what the others follow from.
  const std::size_t more = found.size() - 1;
  return more == 0 ? found.front()
                   : fmt::format("{}; and {} difference{} more", found.front(), more, more == 1 ? "" : "s");
}

std::size_t page_bytes() {
  static const auto bytes = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return bytes;
}

std::size_t whole_pages(std::size_t bytes) {
  return sluice::detail::round_up(bytes, page_bytes());
}

SegmentFile::SegmentFile(const std::string& path, std::string shape)
    : path_{sluice::detail::absolute_path(path).string()},
      shape_{std::move(shape)},
      header_bytes_{whole_pages(sizeof(FileHeader) + shape_.size())} {}

SegmentFile::~SegmentFile() {
  close();
}

void SegmentFile::close() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
  owner_ = 0;
}

void SegmentFile::refuse(const std::string& tried, const std::string& why, const std::string& remedy) const {
  throw Error{{tried, path_, why, remedy}};
}

void SegmentFile::refuse_to_go_on(const std::string& why) const {
  refuse("go on with the segment", why,
         "start the pipeline that it was made for, or remove the file: what is in it is lost then");
}

void SegmentFile::refuse_unread() const {
  refuse("read the segment", errno_text(), "look for what the kernel says of this file and its disk");
}

bool SegmentFile::take_over(std::size_t file_bytes) {
  // The former owner may take the name away between the opening and the lock.
  constexpr int kMostTries = 100;
  for (int tries = 0; tries < kMostTries; ++tries) {
    close();
    if (!open_if_there()) return false;
    try {
      if (!lock()) continue;
      check_header(file_bytes);
    } catch (...) {
      close();  // Others may have it.
      throw;
    }
    owner_ = ::getpid();
    return true;
  }
  refuse(kOpen, "others make and remove it all the time", "name a file of its own");
}

bool SegmentFile::is_there() const {
  struct stat found {};
  if (::lstat(path_.c_str(), &found) != 0) {
    if (errno == ENOENT) return false;
    refuse(kOpen, errno_text(), kWhereItCanBe);
  }
  refuse_foreign(found);
  return true;
}

bool SegmentFile::open_if_there() {
  if (!is_there()) return false;
  fd_ = sluice::detail::above_standard(::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (fd_ < 0 && errno == ENOENT) return false;
  struct stat opened {};
  if (fd_ < 0 || ::fstat(fd_, &opened) != 0) refuse(kOpen, errno_text(), "");
  refuse_foreign(opened);
  return true;
}

void SegmentFile::refuse_foreign(const struct stat& found) const {
  constexpr const char* kRemedy = "name a file that does not exist, as in /dev/shm";
  if (S_ISLNK(found.st_mode)) refuse(kOpen, "it is a symbolic link", "name the file that it leads to");
  if (S_ISDIR(found.st_mode)) refuse(kOpen, "it is a directory", "name a file in it");
  if (!S_ISREG(found.st_mode)) refuse(kOpen, "it is no regular file", kRemedy);
  if (found.st_uid != ::geteuid()) {
    refuse(kOpen, fmt::format("it belongs to user {} and this process to user {}", found.st_uid, ::geteuid()),
           kRemedy);
  }
  if ((found.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    refuse(kOpen, fmt::format("others may write it (mode {:04o})", found.st_mode & 07777U), kRemedy);
  }
}

// False when the file has lost its name meanwhile.
bool SegmentFile::lock() {
  const auto until = std::chrono::steady_clock::now() + kLastBreath;
  while (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR)
      refuse("lock the segment", errno_text(), sluice::detail::remedy_for_call(errno, "flock"));
    if (std::chrono::steady_clock::now() > until) {
      refuse("go on with the segment", "it is in use by the processes " + users_of(fd_),
             "end that pipeline first, or name another file");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  return still_named();
}

bool SegmentFile::still_named() const noexcept {
  struct stat named {};
  struct stat open {};
  return ::lstat(path_.c_str(), &named) == 0 && ::fstat(fd_, &open) == 0 && same_file(named, open);
}

void SegmentFile::check_header(std::size_t file_bytes) const {
  struct stat found {};
  ::fstat(fd_, &found);
  const auto size = static_cast<std::uint64_t>(found.st_size);
  FileHeader header{};
  const ssize_t got = ::pread(fd_, &header, sizeof(header), 0);
  if (got < 0) refuse_unread();
  if (got != static_cast<ssize_t>(sizeof(header)) || header.magic != kFileMagic) {
    refuse("go on with the segment", fmt::format("it is no segment ({} bytes of something else)", size),
           "name a file that does not exist, as in /dev/shm");
  }
  if (header.layout_version != kLayoutVersion) {
    refuse_to_go_on(fmt::format("another version made it: its layout has the version {}, this program's {}",
                                header.layout_version, kLayoutVersion));
  }
  header.boot_id[sizeof(header.boot_id) - 1] = '\0';
  const std::string made = local_time(header.made_at_s);
  if (boot_id() != header.boot_id) {
    refuse_to_go_on(
        fmt::format("it was made at {} in another boot of this machine ({}): what was in memory then is lost",
                    made, printable(header.boot_id)));
  }
  if (header.shape_bytes > size || header.shape_bytes > kMostHeaderBytes || header.file_bytes != size) {
    refuse_to_go_on(fmt::format("it is damaged: {} bytes where there were {}", size, header.file_bytes));
  }
  std::string shape(header.shape_bytes, '\0');
  const ssize_t got_shape = ::pread(fd_, shape.data(), shape.size(), sizeof(header));
  if (got_shape < 0) refuse_unread();
  if (got_shape != static_cast<ssize_t>(shape.size())) refuse_to_go_on("its header ends early");
  const std::string difference = shape_difference(shape, shape_);
  if (!difference.empty()) {
    refuse_to_go_on(fmt::format("it was made at {} for a pipeline of another shape: {}", made, difference));
  }
  if (size != file_bytes) {
    refuse_to_go_on(fmt::format("it holds {} bytes and the pipeline takes {}", size, file_bytes));
  }
}

void SegmentFile::open_nameless() {
  const std::string directory = std::filesystem::path{path_}.parent_path().string();
  fd_ = sluice::detail::above_standard(
      ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (fd_ < 0) {
    const bool unable = errno == EOPNOTSUPP || errno == EISDIR;
    refuse(kMake, unable ? "its file system makes no files without a name" : errno_text(), kWhereItCanBe);
  }
}

void SegmentFile::make(std::size_t file_bytes) {
  open_nameless();
  FileHeader header{kFileMagic,    kLayoutVersion,     ::getpid(), file_bytes,
                    shape_.size(), std::time(nullptr), {}};
  const std::string boot = boot_id();
  std::copy(boot.begin(), boot.end(), header.boot_id);
  std::string bytes(sizeof(header), '\0');
  std::memcpy(bytes.data(), &header, sizeof(header));
  bytes += shape_;
  // The file mode creation mask can take from the mode, but not from what is meant.
  if (::fchmod(fd_, S_IRUSR | S_IWUSR) != 0 || ::ftruncate(fd_, static_cast<off_t>(file_bytes)) != 0 ||
      ::pwrite(fd_, bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
    refuse(kMake, errno_text(), "make room on its file system, or name a file on another");
  if (::flock(fd_, LOCK_EX | LOCK_NB) != 0)
    refuse("lock the segment", errno_text(), sluice::detail::remedy_for_call(errno, "flock"));
}

void SegmentFile::publish() {
  if (owner_ != 0) return;
  const std::string nameless = fmt::format("/proc/self/fd/{}", fd_);
  if (::linkat(AT_FDCWD, nameless.c_str(), AT_FDCWD, path_.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    refuse(kMake, errno == EEXIST ? "another process has made it at the same time" : errno_text(),
           "name a file of its own for every pipeline");
  }
  owner_ = ::getpid();
}

void SegmentFile::remove() noexcept {
  // A child of the host that ends as the host would must leave the file alone.
  if (owner_ != ::getpid() || !still_named()) return;
  ::unlink(path_.c_str());
  owner_ = 0;
}

}  // namespace sluice::ipc
