// SPDX-License-Identifier: Apache-2.0
#include "sluice/connect/file_source.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>

#include "files_there.hpp"

namespace sluice {
namespace {

namespace fs = std::filesystem;
using detail::head_of;
using detail::is;
using detail::kHeadBytes;
using detail::regular_files_in;
using detail::stat_of;

// Of a call: so many lines, and bytes with what a lane needs for each.
constexpr std::size_t kLinesAtOnce = 32;
constexpr std::uint64_t kBytesAtOnce = std::uint64_t{16} << 10;
constexpr std::uint64_t kBytesBesideALine = 64;

constexpr std::chrono::milliseconds kLook = std::chrono::milliseconds{250};  // At what inotify does not tell.

}  // namespace

// FNV-1a, then a mix so that near names are far apart. Source: Fowler, Noll, Vo; splitmix64's finisher.
std::uint64_t file_key(std::string_view path) noexcept {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char byte : path) {
    hash ^= static_cast<unsigned char>(byte);
    hash *= 0x100000001b3;
  }
  hash = (hash ^ (hash >> 30U)) * 0xbf58476d1ce4e5b9;
  hash = (hash ^ (hash >> 27U)) * 0x94d049bb133111eb;
  hash ^= hash >> 31U;
  return hash != 0 ? hash : 1;
}

namespace detail {

// Tells that something has changed in a directory. Where the kernel has no watch to give, the looks at kLook do it alone.
class FileLines::DirectoryWatch {
 public:
  explicit DirectoryWatch(const std::vector<std::string>& paths)
      : fd_{::inotify_init1(IN_NONBLOCK | IN_CLOEXEC)} {
    for (const std::string& path : paths) {
      const auto status = stat_of(path);
      const bool directory = status && S_ISDIR(status->st_mode);
      const std::string watched = directory ? path : fs::absolute(path).parent_path().string();
      if (fd_)
        ::inotify_add_watch(fd_.get(), watched.c_str(), IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM);
    }
  }
  int fd() const noexcept { return fd_.get(); }
  void drain() const noexcept {
    alignas(inotify_event) char events[4096];
    while (fd_ && ::read(fd_.get(), events, sizeof(events)) > 0) {
    }
  }

 private:
  detail::Descriptor fd_;
};

FileLines::FileLines(Worker& worker, FileSourceOptions options, bool quoted)
    : worker_{worker},
      options_{std::move(options)},
      quoted_{quoted},
      position_{worker.state<Position>("position")},
      access_point_{worker.state<AccessPoint>("access-point")},
      done_{worker.table<std::uint64_t, std::uint8_t>("done", options_.max_files)} {
  if (quoted_ && options_.framing != Framing::lines)
    throw Error{
        {"read the rows of", worker_.stage(), "rows are lines", "leave FileSourceOptions::framing as it is"}};
  check_paths();
  if (options_.follow) watch_ = std::make_unique<DirectoryWatch>(options_.paths);
}

FileLines::~FileLines() = default;

void FileLines::check_paths() const {
  if (options_.paths.empty())
    throw Error{{"read files in", worker_.stage(), "none are named", "name files or directories"}};
  std::size_t directories = 0;
  for (const std::string& path : options_.paths) {
    const auto status = stat_of(path);
    if (!status && options_.follow && errno == ENOENT) continue;  // It will be made.
    if (!status)
      throw Error{{"read the file", path, errno_text(), "check the path and the right to read it"}};
    if (S_ISDIR(status->st_mode)) ++directories;
    if (!S_ISREG(status->st_mode) && !S_ISDIR(status->st_mode)) {
      throw Error{{"read the file", path, "it is neither a file nor a directory",
                   "let the host read pipes and terminals, and push their lines into an inlet"}};
    }
  }
  const std::size_t files = options_.paths.size() - directories;
  if (options_.follow && ((directories != 0 && files != 0) || files > worker_.replicas())) {
    throw Error{{"follow the files of", worker_.stage(),
                 fmt::format("they are {} files and {} directories for {} workers, and each worker follows "
                             "one file, or directories",
                             files, directories, worker_.replicas()),
                 "give the stage as many workers as there are files, and directories a stage of their own"}};
  }
}

bool FileLines::mine(const std::string& path, std::size_t index, bool of_directory) const {
  return (of_directory ? file_key(path) : index) % worker_.replicas() == worker_.replica();
}

// This worker's, as they are now, in order.
std::vector<std::string> FileLines::files() const {
  std::vector<std::string> files;
  for (std::size_t index = 0; index < options_.paths.size(); ++index) {
    const std::string& path = options_.paths[index];
    const auto status = stat_of(path);
    if (status && S_ISDIR(status->st_mode)) {
      for (std::string& file : regular_files_in(path)) {
        if (mine(file, index, true)) files.push_back(std::move(file));
      }
    } else if (status && mine(path, index, false)) {
      files.push_back(path);
    }
  }
  return files;
}

SourceState FileLines::read(LineTaker& taker) {
  if (reader_ == nullptr && !go_on()) {
    if (!options_.follow) return SourceState::end;
    return wait();
  }
  if (header_ && !begin_file(taker, *std::exchange(header_, std::nullopt))) return SourceState::more;
  const std::uint64_t offset = reader_->position().offset_bytes;
  const FileLine line = reader_->next();
  switch (line.status) {
    case LineStatus::line: {
      if (line.number == 1 && options_.header) {
        if (!begin_file(taker, line.text)) return SourceState::more;
        break;
      }
      take(taker, line, offset);
      take_more(taker);
      break;
    }
    case LineStatus::too_long:
      worker_.report(fmt::format("{}, {} {}: {} bytes, more than {}: it was left out", path_, noun(),
                                 line.number, line.length_bytes, options_.max_line_bytes));
      break;
    case LineStatus::broken:
      // What was read before stands; the files behind it are read all the same.
      worker_.report(reader_->failure());
      close_file();
      return SourceState::more;
    case LineStatus::end:
      return at_end();
  }
  position_.edit(&Position::line) = reader_->position();
  if (head_file_) note_head();
  if (reader_->take_access_point(new_access_point_)) access_point_.set(new_access_point_);
  return SourceState::more;
}

void FileLines::take(LineTaker& taker, const FileLine& line, std::uint64_t offset) {
  const std::string fault = taker.take({position_->file, line.number, offset}, line.text);
  if (!fault.empty())
    worker_.report(fmt::format("{}, {} {}: {}: it was left out", path_, noun(), line.number, fault));
}

// What a call costs whatever it does (the position that is noted, the engine's own) is shared by as many lines. A long one
// comes alone, so that what a lane cannot take is the only line of its call.
void FileLines::take_more(LineTaker& taker) {
  std::uint64_t room = std::min(taker.bytes_at_once(), kBytesAtOnce);
  for (std::size_t lines = 1; lines < kLinesAtOnce && room > kBytesBesideALine; ++lines) {
    const std::uint64_t offset = reader_->position().offset_bytes;
    const FileLine line = reader_->next_at_hand(room - kBytesBesideALine);
    if (line.status != LineStatus::line) return;
    take(taker, line, offset);
    room -= line.text.size() + kBytesBesideALine;
  }
}

bool FileLines::begin_file(LineTaker& taker, std::string_view header) {
  const std::string fault = taker.begin_file(header);
  if (fault.empty()) return true;
  worker_.report(fmt::format("{}: {}: it was left out", path_, fault));
  close_file();
  return false;
}

// Of the file of the position. A path of the options may have no file at the moment: it was renamed, and the new one is to come.
std::string FileLines::current_path(const std::vector<std::string>& all) const {
  for (const std::vector<std::string>& paths : {options_.paths, all}) {
    const auto found = std::find_if(paths.begin(), paths.end(), [&](const std::string& path) {
      return file_key(path) == position_->file;
    });
    if (found != paths.end()) return *found;
  }
  return {};
}

// Opens the file that is next; false when there is none.
bool FileLines::go_on() {
  const std::vector<std::string> all = files();
  if (position_->file != 0) {
    if (const std::string path = current_path(all); !path.empty()) {
      take_up(path);
      return reader_ != nullptr;
    }
    worker_.report(fmt::format("a file of {} is gone: what was behind byte {} is lost", worker_.stage(),
                               position_->line.offset_bytes));
    close_file();
  }
  const auto next = std::find_if(all.begin(), all.end(),
                                 [&](const std::string& path) { return !done_.contains(file_key(path)); });
  if (next == all.end()) return false;
  open(*next, *next);
  return reader_ != nullptr;
}

// Whether the file of that name now is the one of the position: by what survives a boot and a new mount.
bool FileLines::is_of_position(const std::string& name) const {
  const Descriptor file{::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
  struct stat status {};
  return file && ::fstat(file.get(), &status) == 0 && S_ISREG(status.st_mode) &&
         status.st_ino == position_->inode &&
         (position_->head_bytes == 0 || head_of(file.get(), position_->head_bytes) == position_->head);
}

// The name under which the file of the position stands in the directory of `path` now; empty if it does not.
std::string FileLines::find_renamed(const std::string& path) const {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator{fs::absolute(path).parent_path(), error}) {
    std::string name = entry.path().string();
    const auto status = stat_of(name);
    if (status && status->st_ino == position_->inode && is_of_position(name)) return name;
  }
  return {};
}

// The file of the position, which an earlier process has read.
void FileLines::take_up(const std::string& path) {
  if (is_of_position(path)) return open(path, path);
  const std::string name = find_renamed(path);
  if (!name.empty()) {
    open(path, name);
    renamed_ = true;
    return;
  }
  worker_.report(
      fmt::format("{} is another file than the one that was read to byte {}, or was written anew: what "
                  "was behind that is lost, and it is read from its beginning",
                  path, position_->line.offset_bytes));
  forget_file();
  if (stat_of(path)) open(path, path);
}

// Until there are kHeadBytes. Of a plain file no more than what was read: what follows may be written otherwise yet.
void FileLines::note_head() {
  struct stat status {};
  if (::fstat(head_file_.get(), &status) != 0) return;
  std::uint64_t bytes = std::min(static_cast<std::uint64_t>(status.st_size), kHeadBytes);
  if (!reader_->compressed()) bytes = std::min(bytes, position_->line.offset_bytes);
  if (bytes > position_->head_bytes) {
    const auto head = head_of(head_file_.get(), bytes);
    if (!head) return;
    position_.edit(&Position::head_bytes) = bytes;
    position_.edit(&Position::head) = *head;
  }
  if (position_->head_bytes == kHeadBytes) head_file_ = Descriptor{};
}

// `path` is what the file is called in the options, `name` where it stands now.
void FileLines::open(const std::string& path, const std::string& name) {
  LineReaderOptions options;
  options.max_line_bytes = options_.max_line_bytes;
  options.quoted = quoted_;
  options.framing = options_.framing;
  options.growing = options_.follow &&
                    std::find(options_.paths.begin(), options_.paths.end(), path) != options_.paths.end();
  options.access_point_every_bytes = std::size_t{128} << 10;
  // Which file it is that was opened: the same before and after.
  std::optional<struct stat> before;
  std::optional<struct stat> after;
  do {
    before = stat_of(name);
    try {
      reader_ = std::make_unique<LineReader>(name, options);
    } catch (const Error&) {
      // One that is followed may have been renamed since it was looked at: then it is looked for again, or what has its name
      // by now is opened.
      after = stat_of(name);
      if (!options_.follow || (before && after && is(*after, before->st_dev, before->st_ino))) throw;
      if (!after) return reader_.reset();
      after.reset();
      continue;
    }
    head_file_ = Descriptor{::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    after = stat_of(name);
  } while (!before || !after || !is(*after, before->st_dev, before->st_ino));
  // Nor is another file that took the name meanwhile read from the position of the one before.
  if (position_->file != 0 && after->st_ino != position_->inode) return reader_.reset();
  device_ = after->st_dev;
  path_ = path;
  followed_ = options.growing && !reader_->compressed();
  renamed_ = ending_ = false;
  // A file that is taken up in its midst has its header all the same.
  header_.reset();
  if (options_.header && position_->file != 0 && position_->line.line_number != 0) {
    LineReader beginning{name, options};
    header_.emplace(beginning.next().text);
  }
  if (position_->file != 0) {
    reader_->resume(position_->line, &*access_point_);
  } else {
    position_.set({file_key(path), {}, after->st_ino, 0, 0});
  }
  if (head_file_) note_head();
  if (position_->file != 0 && !followed_ && !reader_->compressed() &&
      static_cast<std::uint64_t>(after->st_size) < position_->line.offset_bytes) {
    worker_.report(fmt::format("{} holds {} bytes, {} were read: it was truncated since", path,
                               after->st_size, position_->line.offset_bytes));
  }
}

void FileLines::close_file() {
  // A path that is followed is never done with: the next file of its name comes.
  if (!std::exchange(followed_, false) && position_->file != 0) done_[position_->file] = 1;
  forget_file();
}

void FileLines::forget_file() {
  position_.set({});
  access_point_.set({});
  reader_.reset();
  head_file_ = Descriptor{};
}

SourceState FileLines::at_end() {
  const auto status = stat_of(path_);
  if (!followed_) {
    if (status && !reader_->compressed() && is(*status, device_, position_->inode) &&
        static_cast<std::uint64_t>(status->st_size) < position_->line.offset_bytes)
      worker_.report(
          fmt::format("{} was truncated to {} bytes while it was read: {} were, and the rest is lost", path_,
                      status->st_size, position_->line.offset_bytes));
    close_file();
    return SourceState::more;
  }
  if (ending_ && status) {
    forget_file();
    open(path_, path_);
    return SourceState::more;
  }
  const bool same = status && is(*status, device_, position_->inode);
  if (same && static_cast<std::uint64_t>(status->st_size) < position_->line.offset_bytes) {
    worker_.report(fmt::format("{} was truncated to {} bytes, {} were read: it is read from its beginning",
                               path_, status->st_size, position_->line.offset_bytes));
    forget_file();
    open(path_, path_);
    return SourceState::more;
  }
  const bool renamed_before = std::exchange(renamed_, renamed_ || !same);
  // Whoever writes may go on in the old file until it has opened the new one.
  if (same || !status || status->st_size == 0) return wait();
  // What came between the last look at the old file and its new name is read before it ends.
  if (renamed_before) {
    ending_ = true;
    reader_->stop_growing();
  }
  return SourceState::more;
}

SourceState FileLines::wait() {
  worker_.wait_for(watch_->fd(), kLook);
  watch_->drain();
  return SourceState::nothing_now;
}

}  // namespace detail

}  // namespace sluice
