// SPDX-License-Identifier: Apache-2.0
// A directory for what nobody but this user may write or redirect: reports and dead letters, which hold payloads.
//
// Its name may be guessed by others, as in /dev/shm. So nothing in it is opened by a path: the directory is opened
// once and looked at, and its files are opened below it, without following a link.
#pragma once

#include <filesystem>
#include <string>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

class OwnDirectory {
 public:
  // Opens it, or makes it, with those above it, for this user alone (0700). Throws Error when it is a link or no
  // directory, belongs to another user or can be written by one.
  explicit OwnDirectory(std::filesystem::path path);

  // A file in it for appending or writing at will, made for this user alone (0600) if it is not there. Throws
  // Error when it is a link or no regular file, has another name as well, or belongs to another user.
  Descriptor open_file(const std::string& name, int more_flags = 0) const;

  const std::filesystem::path& path() const noexcept { return path_; }
  int descriptor() const noexcept { return directory_.get(); }

  // Throws the Error that the constructor or a file in it would throw, as far as that can be known now. Leaves
  // nothing behind: what it makes to find that out it takes away again.
  static void check(const std::filesystem::path& path);

 private:
  std::filesystem::path path_;
  Descriptor directory_;
};

}  // namespace sluice::detail
