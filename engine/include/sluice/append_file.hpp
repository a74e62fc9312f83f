// SPDX-License-Identifier: Apache-2.0
// AppendFile: a file that a handler appends to, exactly once whatever dies.
//
// The file's committed length is recoverable state. Bytes are written before the commit that counts them; a
// replacement truncates the file to what was committed and goes on. Used within a handler, by its one thread;
// append() does not block but when its buffer of 1 MiB is full.
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
  // says which file and why: also when the file is shorter than what was committed.
  AppendFile(Worker& worker, std::string_view name, const std::filesystem::path& path);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;

  // Adds `text`, of any length, as it stands. Throws Error when the file cannot be written: a full disk.
  void append(std::string_view text);
  // Writes out what is buffered; the commit does it by itself. Blocks and throws as append() does.
  void flush();
  // How long the file is, with what is buffered and with this batch, which may still be rolled back.
  std::uint64_t length_bytes() const noexcept { return *length_; }
  const std::filesystem::path& path() const noexcept { return path_; }

 private:
  void forget_rolled_back();

  std::filesystem::path path_;
  Recoverable<std::uint64_t> length_;  // With what is buffered.
  std::uint64_t written_ = 0;          // Bytes of the file: where the buffer goes.
  std::string buffer_;
  int fd_ = -1;
};

}  // namespace sluice
