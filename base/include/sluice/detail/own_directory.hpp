// SPDX-License-Identifier: Apache-2.0
// A directory for what nobody but this user may write or redirect: reports, dead letters and checkpoints, which hold
// payloads.
//
// Its name may be guessed by others, as in /dev/shm. So nothing in it is opened by a path: the directory is opened
// once and looked at, and its files are opened below it, without following a link.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>

namespace sluice::detail {

// What can be done when a file cannot be had or written for that reason (errno); `setting` has its directory.
std::string remedy_for(int reason, std::string_view setting);

// A call failed, for `reason` (errno): of what lies there nothing is known by that.
class CannotRead : public Error {
 public:
  CannotRead(ErrorParts parts, int reason) : Error{std::move(parts)}, reason_{reason} {}

  int reason() const noexcept { return reason_; }

 private:
  int reason_;
};

class OwnDirectory {
 public:
  // Opens it, or makes it, with those above it, for this user alone (0700). Throws Error when it is a link or no
  // directory, belongs to another user or can be written by one. `setting` is the one that errors tell to change.
  explicit OwnDirectory(std::filesystem::path path, std::string_view setting = "report.path");
  // The same for a directory that is there; nothing is made.
  static std::optional<OwnDirectory> if_there(std::filesystem::path path, std::string_view setting);

  // A file in it for appending or writing at will, made for this user alone (0600) if it is not there. Throws
  // Error when it is a link or no regular file, has another name as well, or belongs to another user.
  Descriptor open_file(const std::string& name, int more_flags = 0) const;
  // A file in it for reading, which holds to the same; none when there is none. CannotRead when that cannot be told.
  std::optional<Descriptor> open_to_read(const std::string& name) const;

  const std::filesystem::path& path() const noexcept { return path_; }
  int descriptor() const noexcept { return directory_.get(); }

  // Throws the Error that the constructor or a file in it would throw, as far as that can be known now. Leaves
  // nothing behind: what it makes to find that out it takes away again, at the latest in the next call.
  static void check(const std::filesystem::path& path, std::string_view setting = "report.path");

 private:
  OwnDirectory(std::filesystem::path path, std::string_view setting, Descriptor directory);
  [[noreturn]] void refuse_to_open(const std::filesystem::path& path, const char* tried) const;
  // Whether it still has one; throws Error unless it is a regular file and ours alone.
  bool has_a_name(const Descriptor& file, const std::filesystem::path& path) const;

  std::filesystem::path path_;
  std::string setting_;
  Descriptor directory_;
};

}  // namespace sluice::detail
