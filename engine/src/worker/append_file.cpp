// SPDX-License-Identifier: Apache-2.0
#include "sluice/append_file.hpp"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/detail/call_remedy.hpp>
#include <sluice/detail/kept_from_children.hpp>
#include <sluice/detail/path.hpp>
#include <sluice/detail/storage.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/unavailable.hpp>

#include "worker/file_mark.hpp"
#include "worker/only_debugs.hpp"
#include "worker/worker_access.hpp"

namespace sluice {

namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;
constexpr std::uint64_t kMarkedBytes = 256;

// A disk that is full, or gone, may come back: the outside is away then, as it is for FileSink.
[[noreturn]] void fail(const std::string& tried, const std::filesystem::path& path, int reason) {
  if (detail::is_storage_away_or_full(reason))
    throw Unavailable{fmt::format("{}: {}", printable(path.string()), errno_text(reason))};
  throw Error{{tried, path.string(), errno_text(reason),
               reason == EFBIG ? "raise the limit of file sizes (ulimit -f)" : ""}};
}

// Those of this process that were opened by their names; what was handed over open may have another.
std::vector<int>& opened_by_name() {
  static std::vector<int> files;
  return files;
}

// A file that was removed, moved or unmounted, or replaced by another of its name, takes bytes for as long as it is open, and nobody finds them.
void refuse_lost(int file, const std::filesystem::path& path, std::uint64_t written_bytes) {
  struct stat status {};
  if (::fstat(file, &status) != 0) fail("go on writing", path, errno);
  std::string why;
  const std::vector<int>& by_name = opened_by_name();
  struct stat named = status;
  const bool is_asked = std::find(by_name.begin(), by_name.end(), file) != by_name.end();
  const int reason = is_asked && ::stat(path.c_str(), &named) != 0 ? errno : 0;
  if (detail::is_storage_away(reason)) fail("go on writing", path, reason);
  const bool is_gone = status.st_nlink == 0 && !detail::only_debugs();
  if (is_gone || reason != 0 || named.st_ino != status.st_ino || named.st_dev != status.st_dev)
    why = "it was removed or moved, or another file has taken its place";
  if (static_cast<std::uint64_t>(status.st_size) < written_bytes)
    why = fmt::format("it holds {} bytes and {} were written", status.st_size, written_bytes);
  if (why.empty()) return;
  throw Error{{"go on writing", path.string(), std::move(why),
               "start the pipeline anew, and keep off what changes its files"}};
}

}  // namespace

AppendFile::File::~File() {
  detail::keep_no_longer(fd);
  std::erase(opened_by_name(), fd);
  if (fd >= 0) ::close(fd);
}

// What lies behind the committed bytes is cut off: that a link leads to is not ours to cut. A pipe is not waited for.
int AppendFile::open(const std::filesystem::path& path) {
  constexpr int kFlags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY;
  const int fd = detail::only_debugs() ? ::memfd_create("sluice-debug", MFD_CLOEXEC)
                                       : ::open(path.c_str(), kFlags, 0644);
  const auto refuse = [&path](std::string why, std::string remedy) {
    throw Error{{"open for writing", path.string(), std::move(why), std::move(remedy)}};
  };
  if (fd < 0 && errno == ELOOP) refuse("it is a link", "name the file that it leads to");
  // A pipe that nobody reads, or a socket.
  if (fd < 0 && errno == ENXIO)
    refuse("it is no regular file", "name a regular file, or one that is not there");
  if (fd < 0 && detail::is_storage_away_or_full(errno)) fail("open for writing", path, errno);
  if (fd < 0) refuse(errno_text(), "name a directory that can be written");
  struct stat status {};
  if (::fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
    if (!detail::only_debugs()) opened_by_name().push_back(fd);
    return fd;
  }
  ::close(fd);
  refuse("it is no regular file", "name a regular file, or one that is not there");
  return -1;
}

AppendFile::AppendFile(Worker& worker, std::string_view name, const std::filesystem::path& path)
    : AppendFile{worker, name, detail::absolute_path(path), open(path)} {}

// What the first incarnation finds out about the file is the first value of its state.
AppendFile::AppendFile(Worker& worker, std::string_view name, const std::filesystem::path& path,
                       int descriptor)
    : path_{path}, file_{descriptor}, committed_{worker.state<Committed>(name, identity())} {
  lock();
  detail::keep_from_children(file_.fd);
  recognise();
  // What lies behind was written by a batch that never committed, or by an earlier run.
  if (::ftruncate(file_.fd, static_cast<off_t>(committed_->length_bytes)) != 0)
    fail("go on writing", path, errno);
  written_ = committed_->length_bytes;
  buffer_.reserve(kBufferBytes);
  detail::WorkerAccess::before_any_commit(worker, [this] { flush(); });
}

AppendFile::Committed AppendFile::identity() const {
  struct stat status {};
  if (::fstat(file_.fd, &status) != 0) fail("look at", path_, errno);
  return {0, detail::kEmptyFileMark, status.st_ino};
}

void AppendFile::recognise() const {
  struct stat status {};
  if (::fstat(file_.fd, &status) != 0) fail("go on writing", path_, errno);
  const Committed& committed = *committed_;
  if (status.st_ino != committed.inode) {
    throw Error{{"go on writing", path_.string(), "another file has taken its place",
                 "put the file back that was written, or start the pipeline anew"}};
  }
  if (static_cast<std::uint64_t>(status.st_size) < committed.length_bytes) {
    throw Error{
        {"go on writing", path_.string(),
         fmt::format("it holds {} bytes and {} were committed", status.st_size, committed.length_bytes),
         "another process has changed it; start the pipeline anew"}};
  }
  // One that its owner may not read is known by its inode alone.
  const auto mark = detail::mark_of(file_.fd, std::min(committed.length_bytes, kMarkedBytes));
  if (!mark || *mark == committed.mark) return;
  throw Error{{"go on writing", path_.string(),
               "it does not begin with what was written: another file has taken its place",
               "put the file back that was written, or start the pipeline anew"}};
}

void AppendFile::lock() const {
  constexpr auto kPatience = std::chrono::milliseconds{500};
  constexpr auto kPause = std::chrono::milliseconds{5};
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (::flock(file_.fd, LOCK_EX | LOCK_NB) != 0) {
    const int reason = errno;
    const bool held = reason == EWOULDBLOCK || reason == EINTR;
    if (detail::is_storage_away(reason)) fail("lock", path_, reason);
    if (!held)
      throw Error{{"lock", path_.string(), errno_text(reason), detail::remedy_for_call(reason, "flock")}};
    if (std::chrono::steady_clock::now() >= until) {
      throw Error{{"lock", path_.string(), "another worker or program writes it",
                   "give each writer a file of its own"}};
    }
    std::this_thread::sleep_for(kPause);
  }
}

void AppendFile::append(std::string_view text) {
  forget_rolled_back();
  if (buffer_.size() + text.size() > kBufferBytes) flush();
  const std::uint64_t length = committed_->length_bytes;
  if (length < kMarkedBytes) {
    const std::uint64_t mark = detail::mark_with(committed_->mark, length, text, kMarkedBytes);
    committed_.edit(&Committed::mark) = mark;
  }
  committed_.edit(&Committed::length_bytes) += text.size();
  buffer_.append(text);
}

void AppendFile::forget_rolled_back() {
  const std::uint64_t length = committed_->length_bytes;
  // After an event that was rolled back the buffer, and the file too if it was flushed in the midst of that
  // event, hold bytes that count no more.
  if (written_ > length) {
    if (::ftruncate(file_.fd, static_cast<off_t>(length)) != 0) fail("go on writing", path_, errno);
    written_ = length;
  }
  buffer_.resize(std::min<std::size_t>(buffer_.size(), length - written_));
}

void AppendFile::flush() {
  forget_rolled_back();
  if (!buffer_.empty()) refuse_lost(file_.fd, path_, written_);
  std::size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t bytes =
        ::pwrite(file_.fd, buffer_.data() + done, buffer_.size() - done, static_cast<off_t>(written_ + done));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes <= 0) fail("write", path_, bytes < 0 ? errno : ENOSPC);
    done += static_cast<std::size_t>(bytes);
  }
  // Only now: a flush that failed half-way is repeated from its beginning.
  written_ += done;
  buffer_.clear();
}

}  // namespace sluice
