// SPDX-License-Identifier: Apache-2.0
#include "sluice/append_file.hpp"

#include <algorithm>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "worker/worker_access.hpp"

namespace sluice {

namespace {

constexpr std::size_t kBufferBytes = std::size_t{1} << 20;

}  // namespace

AppendFile::AppendFile(Worker& worker, std::string_view name, const std::filesystem::path& path)
    : path_{path}, length_{worker.state<std::uint64_t>(name)} {
  fd_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
  struct stat status {};
  if (fd_ < 0 || ::fstat(fd_, &status) != 0) {
    throw Error{{"open for writing", path.string(), errno_text(), "name a directory that can be written"}};
  }
  const auto committed = static_cast<off_t>(*length_);
  if (status.st_size < committed) {
    throw Error{{"go on writing", path.string(),
                 fmt::format("it holds {} bytes and {} were committed", status.st_size, committed),
                 "another process has changed it; start the pipeline anew"}};
  }
  // What lies behind was written by a batch that never committed, or by an earlier run.
  if (::ftruncate(fd_, committed) != 0) {
    throw Error{{"go on writing", path.string(), errno_text(), ""}};
  }
  written_ = *length_;
  buffer_.reserve(kBufferBytes);
  detail::WorkerAccess::before_any_commit(worker, [this] { flush(); });
}

AppendFile::~AppendFile() {
  if (fd_ >= 0) ::close(fd_);
}

void AppendFile::append(std::string_view text) {
  forget_rolled_back();
  if (buffer_.size() + text.size() > kBufferBytes) flush();
  length_.edit() += text.size();
  buffer_.append(text);
}

void AppendFile::forget_rolled_back() {
  // After an event that was rolled back the buffer, and the file too if it was flushed in the midst of that
  // event, hold bytes that count no more.
  if (written_ > *length_) {
    if (::ftruncate(fd_, static_cast<off_t>(*length_)) != 0) {
      throw Error{{"go on writing", path_.string(), errno_text(), ""}};
    }
    written_ = *length_;
  }
  buffer_.resize(std::min<std::size_t>(buffer_.size(), *length_ - written_));
}

void AppendFile::flush() {
  forget_rolled_back();
  std::size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t bytes =
        ::pwrite(fd_, buffer_.data() + done, buffer_.size() - done, static_cast<off_t>(written_ + done));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) {
      throw Error{{"write", path_.string(), errno_text(), "make room on its file system"}};
    }
    done += static_cast<std::size_t>(bytes);
  }
  // Only now: a flush that failed half-way is repeated from its beginning.
  written_ += done;
  buffer_.clear();
}

}  // namespace sluice
