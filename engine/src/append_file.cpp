#include "sluice/append_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/error.hpp>

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
                 "somebody else has changed it; start the pipeline anew"}};
  }
  // What lies behind was written by a batch that never committed, or by an earlier run.
  if (::ftruncate(fd_, committed) != 0 || ::lseek(fd_, committed, SEEK_SET) < 0) {
    throw Error{{"go on writing", path.string(), errno_text(), ""}};
  }
  buffer_.reserve(kBufferBytes);
  worker.before_commit([this] { flush(); });
}

AppendFile::~AppendFile() {
  if (fd_ >= 0) ::close(fd_);
}

void AppendFile::append(std::string_view text) {
  if (buffer_.size() + text.size() > kBufferBytes) flush();
  length_.edit() += text.size();
  buffer_.append(text);
}

void AppendFile::flush() {
  // The file holds what was appended before the buffer; after an event that was rolled back it can be ahead
  // of the length, and the buffer holds bytes that count no more: both are cut off here.
  std::size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t written = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) {
      throw Error{{"write", path_.string(), errno_text(), "make room on its file system"}};
    }
    done += static_cast<std::size_t>(written);
  }
  buffer_.clear();
}

}  // namespace sluice
