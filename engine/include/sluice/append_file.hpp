// SPDX-License-Identifier: Apache-2.0
// AppendFile: a file that a handler appends to, exactly once whatever dies.
//
// The file's committed length is recoverable state. Bytes are written before the commit that counts them; a
// replacement truncates the file to what was committed and goes on. The file is locked (flock) for as long as its
// worker lives, and known by its inode and its first 256 bytes: a second writer gets an Error, and so does a replacement that
// finds another file under the name. Used within a handler, by its one thread; append() does not block but when its buffer of
// 1 MiB is full.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include <sluice/worker.hpp>

namespace sluice {

class AppendFile {
 public:
  // Opens `path`, made anew by the first incarnation of the worker. `name` names the state. Throws Error that
  // says which file and why: also when the file is shorter than what was committed, is another one, or has another
  // writer; that it waits for, half a second, since a writer that was killed lets go a little later.
  AppendFile(Worker& worker, std::string_view name, const std::filesystem::path& path);
  // The same with a file that is open already, and is closed with this object.
  AppendFile(Worker& worker, std::string_view name, const std::filesystem::path& path, int descriptor);
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  // Adds `text`, of any length, as it stands. Throws Unavailable when the disk is full or gone, Error for any other reason.
  void append(std::string_view text);
  // Writes out what is buffered; the commit does it by itself. Blocks and throws as append() does.
  void flush();
  // How long the file is, with what is buffered and with this batch, which may still be rolled back.
  std::uint64_t length_bytes() const noexcept { return committed_->length_bytes; }
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  struct Committed {
    std::uint64_t length_bytes;  // With what is buffered.
    std::uint64_t mark;          // Which file it is: worker/file_mark.hpp.
    std::uint64_t inode;
  };
  // Closed with its owner, also when the constructor of that throws.
  class File {
   public:
    explicit File(int fd) noexcept : fd{fd} {}
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File();
    const int fd;
  };

  static int open(const std::filesystem::path& path);
  Committed identity() const;
  void recognise() const;
  void lock() const;
  void forget_rolled_back();

  std::filesystem::path path_;
  File file_;
  Recoverable<Committed> committed_;
  std::uint64_t written_ = 0;  // Bytes of the file: where the buffer goes.
  std::string buffer_;
};

}  // namespace sluice
