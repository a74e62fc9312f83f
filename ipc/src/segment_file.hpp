// SPDX-License-Identifier: Apache-2.0
// The file of a named segment: found, checked and locked, or made, and removed. Its header tells the
// next start whether what follows can be taken over.
//
// Used by the host, before its processes are there and after they are gone. The lock belongs to the open file
// description, which every process of the pipeline inherits: it is held until the last of them is dead, and
// so proves that a former life is over.
//
// Invariants:
//   a file that has a name is whole: it is made without a name and gets it last, so that a maker who dies
//   before leaves nothing behind;
//   the header never changes;
//   not a byte of a file that is refused has been changed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <sys/stat.h>

namespace sluice::ipc {

// Of this kernel: the unit of what is mapped.
std::size_t page_bytes();
std::size_t whole_pages(std::size_t bytes);

class SegmentFile {
 public:
  // `shape` as in segment.hpp. Nothing is opened yet.
  SegmentFile(const std::string& path, std::string shape);
  ~SegmentFile();
  SegmentFile(const SegmentFile&) = delete;
  SegmentFile& operator=(const SegmentFile&) = delete;

  // Bytes at the front of the file that belong to the header: whole pages.
  std::size_t header_bytes() const noexcept { return header_bytes_; }

  // Takes over the file that is there; false when there is none. Waits a moment for processes that are about
  // to die. Throws Error: it is in use, or it is not what this pipeline can go on with.
  bool take_over(std::size_t file_bytes);
  // Makes a file without a name. Throws Error.
  void make(std::size_t file_bytes);
  // Whether there is one, of this user alone; and the first step of make(). Both throw Error.
  bool is_there() const;
  void open_nameless();
  // Gives the file that was made its name; nothing for one that was taken over. Throws Error.
  void publish();
  // Whether the name is still that of this file. A system call.
  bool still_named() const noexcept;
  // Takes the name away, if it still is that of this file.
  void remove() noexcept;
  // The lock is held on by the other processes that have it.
  void close() noexcept;

  int fd() const noexcept { return fd_; }
  const std::string& path() const noexcept { return path_; }

 private:
  [[noreturn]] void refuse(const std::string& tried, const std::string& why, const std::string& remedy) const;
  [[noreturn]] void refuse_to_go_on(const std::string& why) const;
  [[noreturn]] void refuse_unread() const;  // By errno.
  bool open_if_there();
  void refuse_foreign(const struct stat& found) const;
  bool lock();
  void check_header(std::size_t file_bytes) const;

  std::string path_;
  std::string shape_;
  std::size_t header_bytes_;
  int fd_ = -1;
  int owner_ = 0;  // The process that has taken it over or given it its name; 0 before.
};

}  // namespace sluice::ipc
