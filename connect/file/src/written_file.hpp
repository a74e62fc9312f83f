// SPDX-License-Identifier: Apache-2.0
// A file that RollingFile writes: a regular one, opened through no link, known by its inode and by how many bytes of it are
// committed. All calls throw Unavailable where it may pass (a full disk), Error for all else.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

// What a person can do where the files are not as they were left.
inline constexpr const char* kPutItBack =
    "put the file back that was written, and name the directory and the files as they were; or start the "
    "pipeline anew, without its checkpoints and its segment.path";

class WrittenFile {
 public:
  // `more_flags` of open(), beside those to read and write it.
  WrittenFile(std::filesystem::path path, int more_flags);

  const std::filesystem::path& path() const noexcept { return path_; }
  int descriptor() const noexcept { return file_.get(); }
  std::uint64_t inode() const;
  std::uint64_t bytes() const;

  // That the open file is the one of that inode, and has so many bytes.
  void check_is(std::uint64_t inode, std::uint64_t bytes) const;
  // That the path leads to it still, and that it has these bytes and no others: a file that is open takes bytes all the same when
  // it was removed, moved or cut.
  void check_is_there(std::uint64_t inode, std::uint64_t bytes) const;
  // Takes off what is behind these bytes.
  void cut(std::uint64_t bytes) const;
  // At its end instead of `at`, if it was opened with O_APPEND.
  void write(std::string_view text, std::uint64_t at) const;
  void bring_to_disk() const;
  // The same without a throw: the kernel's number of the error, or 0.
  int sync() const noexcept;

 private:
  std::filesystem::path path_;
  Descriptor file_;
};

// Of the names in it.
void bring_to_disk(const std::filesystem::path& directory);

}  // namespace sluice::detail
