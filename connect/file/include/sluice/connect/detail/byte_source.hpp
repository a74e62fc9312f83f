// SPDX-License-Identifier: Apache-2.0
// The bytes of a file as they lie in the file or come through a pipe: descriptor, buffer and offset.
//
// A descriptor that can seek is read with pread at this object's own offset, because the offset that the
// kernel keeps is shared with every process that inherited the descriptor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace sluice::detail {

// Owns a descriptor, or borrows one that somebody else closes, such as standard input.
class FileDescriptor {
 public:
  static FileDescriptor owned(int fd) { return FileDescriptor{fd, true}; }
  static FileDescriptor borrowed(int fd) { return FileDescriptor{fd, false}; }
  FileDescriptor(FileDescriptor&& other) noexcept : fd_{other.fd_}, owned_{other.owned_} {
    other.owned_ = false;
  }
  FileDescriptor(const FileDescriptor&) = delete;
  FileDescriptor& operator=(const FileDescriptor&) = delete;
  FileDescriptor& operator=(FileDescriptor&&) = delete;
  ~FileDescriptor();

  int get() const { return fd_; }

 private:
  FileDescriptor(int fd, bool owned) : fd_{fd}, owned_{owned} {}

  int fd_;
  bool owned_;
};

class ByteSource {
 public:
  explicit ByteSource(FileDescriptor descriptor);

  // The bytes at hand; consume() what was used. Empty only at the end, after an error or before a fill.
  const unsigned char* data() const { return buffer_.get() + begin_; }
  std::size_t size() const { return end_ - begin_; }
  void consume(std::size_t bytes) { begin_ += bytes; }

  // Reads until at least `bytes` are at hand (at most kMinimumMost); false when the input ends before that.
  bool fill(std::size_t bytes);
  bool empty() { return size() == 0 && !fill(1); }

  // Reads straight into the caller's memory, past the buffer once that is empty. Zero at the end or on error.
  std::size_t read(char* out, std::size_t bytes);

  // As it stands in the file now, past the buffer: how many bytes there were. Of what can seek.
  std::size_t read_at(std::uint64_t offset_bytes, char* out, std::size_t bytes) const;

  bool can_seek() const { return can_seek_; }
  void seek(std::uint64_t offset_bytes);

  std::uint64_t offset_bytes() const { return buffer_offset_bytes_ + begin_; }
  int error_number() const { return error_number_; }  // Zero while all reads went well.

  static constexpr std::size_t kMinimumMost = 16;

 private:
  std::size_t read_some(void* out, std::size_t bytes, std::uint64_t offset_bytes);

  FileDescriptor descriptor_;
  std::unique_ptr<unsigned char[]> buffer_;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::uint64_t buffer_offset_bytes_ = 0;  // Of the buffer's first byte, counted from where reading began.
  std::uint64_t base_offset_bytes_ = 0;    // Where the descriptor stood when this object was made.
  bool can_seek_ = false;
  int error_number_ = 0;
};

}  // namespace sluice::detail
