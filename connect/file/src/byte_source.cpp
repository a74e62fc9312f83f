// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <cstring>
#include <sys/types.h>
#include <unistd.h>
#include <utility>

#include <sluice/connect/detail/byte_source.hpp>

namespace sluice::detail {
namespace {

constexpr std::size_t kBufferBytes = std::size_t{128} << 10;

}  // namespace

FileDescriptor::~FileDescriptor() {
  if (owned_) ::close(fd_);
}

ByteSource::ByteSource(FileDescriptor descriptor)
    : descriptor_{std::move(descriptor)},
      buffer_{std::make_unique_for_overwrite<unsigned char[]>(kBufferBytes)} {
  const off_t here = ::lseek(descriptor_.get(), 0, SEEK_CUR);
  can_seek_ = here >= 0;
  if (can_seek_) base_offset_bytes_ = static_cast<std::uint64_t>(here);
}

bool ByteSource::fill(std::size_t bytes) {
  if (size() >= bytes) return true;
  std::memmove(buffer_.get(), data(), size());
  buffer_offset_bytes_ += begin_;
  end_ -= begin_;
  begin_ = 0;
  while (end_ < bytes) {
    const std::size_t got = read_some(buffer_.get() + end_, kBufferBytes - end_, buffer_offset_bytes_ + end_);
    if (got == 0) return false;
    end_ += got;
  }
  return true;
}

std::size_t ByteSource::read(char* out, std::size_t bytes) {
  if (size() > 0) {
    const std::size_t taken = size() < bytes ? size() : bytes;
    std::memcpy(out, data(), taken);
    consume(taken);
    return taken;
  }
  const std::size_t got = read_some(out, bytes, offset_bytes());
  buffer_offset_bytes_ += got;
  return got;
}

std::size_t ByteSource::read_at(std::uint64_t offset_bytes, char* out, std::size_t bytes) const {
  std::size_t had = 0;
  while (had < bytes) {
    const ssize_t got = ::pread(descriptor_.get(), out + had, bytes - had,
                                static_cast<off_t>(base_offset_bytes_ + offset_bytes + had));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    had += static_cast<std::size_t>(got);
  }
  return had;
}

void ByteSource::seek(std::uint64_t offset_bytes) {
  buffer_offset_bytes_ = offset_bytes;
  begin_ = end_ = 0;
  error_number_ = 0;
}

std::size_t ByteSource::read_some(void* out, std::size_t bytes, std::uint64_t offset_bytes) {
  for (;;) {  // Ends with the first call that no signal interrupts.
    const ssize_t got = can_seek_ ? ::pread(descriptor_.get(), out, bytes,
                                            static_cast<off_t>(base_offset_bytes_ + offset_bytes))
                                  : ::read(descriptor_.get(), out, bytes);
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno == EINTR) continue;
    error_number_ = errno;
    return 0;
  }
}

}  // namespace sluice::detail
