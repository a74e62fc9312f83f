// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/own_directory.hpp"

#include <cerrno>
#include <fcntl.h>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "sluice/detail/storage.hpp"
#include "sluice/error.hpp"

namespace sluice::detail {
namespace {

constexpr mode_t kOthersMayWrite = S_IWGRP | S_IWOTH;

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& why, std::string_view setting,
                         const char* tried = "write into", int reason = 0) {
  throw Error{{tried, path.string(), why, remedy_for(reason, setting)}};
}

void require_ours(const std::filesystem::path& path, const struct stat& status, std::string_view setting) {
  if (status.st_uid != ::geteuid()) refuse(path, "it belongs to another user", setting);
  if ((status.st_mode & kOthersMayWrite) != 0) refuse(path, "other users may write it", setting);
}

Descriptor open_directory(const std::filesystem::path& path) {
  return Descriptor{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
}

// That is not for what it is.
[[noreturn]] void refuse_to_tell(const std::filesystem::path& path, int reason, std::string_view setting,
                                 const char* tried) {
  throw CannotRead{{tried, path.string(), errno_text(reason), remedy_for(reason, setting)}, reason};
}

// A link gets one of two errors, depending on what it is taken for.
std::string why_not_opened(int reason) {
  return reason == ELOOP || reason == ENOTDIR ? "it is a link or no directory" : errno_text(reason);
}

// Where nothing is there.
Descriptor make(const std::filesystem::path& path, std::string_view setting) {
  std::error_code error;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (error) refuse(path, error.message(), setting);
  if (::mkdir(path.c_str(), S_IRWXU) != 0 && errno != EEXIST) refuse(path, errno_text(), setting);
  return open_directory(path);
}

// Tried, since permissions do not say it: /proc and a full file system refuse root as well. With errno. The name is one for
// all, so that what a killed process has left goes with the next try; another may be at it now.
bool takes_files(int directory) {
  constexpr const char* kProbe = ".sluice-probe";
  if (::mkdirat(directory, kProbe, S_IRWXU) != 0 && errno != EEXIST) return false;
  return ::unlinkat(directory, kProbe, AT_REMOVEDIR) == 0 || errno == ENOENT;
}

}  // namespace

std::string remedy_for(int reason, std::string_view setting) {
  const std::string set = "set " + std::string{setting} + " to a ";
  switch (reason) {
    case ENOSPC:
    case EDQUOT:
      return "make room there, or " + set + "directory of a file system that has more";
    case EMFILE:
    case ENFILE:
      return "raise the limit of open files (ulimit -n)";
    case EFBIG:
      return set + "directory of a file system that takes larger files";
    case ENOMEM:
      return "give the process more memory";
    case EIO:
      return "look for what the kernel says of this disk, or " + set + "directory on another";
    default:
      if (is_storage_away(reason)) return "start again once it is there";
      return set + "directory that only this user may write";
  }
}

OwnDirectory::OwnDirectory(std::filesystem::path path, std::string_view setting, Descriptor directory)
    : path_{std::move(path)}, setting_{setting}, directory_{std::move(directory)} {
  struct stat status {};
  if (!directory_ || ::fstat(directory_.get(), &status) != 0) {
    if (errno != ELOOP && errno != ENOTDIR) refuse_to_tell(path_, errno, setting_, "write into");
    refuse(path_, why_not_opened(errno), setting_);
  }
  require_ours(path_, status, setting_);
}

OwnDirectory::OwnDirectory(std::filesystem::path path, std::string_view setting)
    : OwnDirectory{path, setting, [&path, setting] {
                     Descriptor there = open_directory(path);
                     return !there && errno == ENOENT ? make(path, setting) : std::move(there);
                   }()} {}

std::optional<OwnDirectory> OwnDirectory::if_there(std::filesystem::path path, std::string_view setting) {
  Descriptor directory = open_directory(path);
  if (!directory && errno == ENOENT) return std::nullopt;
  return OwnDirectory{std::move(path), setting, std::move(directory)};
}

void OwnDirectory::refuse_to_open(const std::filesystem::path& path, const char* tried) const {
  const int reason = errno;
  if (reason != ELOOP) refuse_to_tell(path, reason, setting_, tried);
  refuse(path, "it is a link", setting_, tried, reason);
}

bool OwnDirectory::has_a_name(const Descriptor& file, const std::filesystem::path& path) const {
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) refuse_to_tell(path, errno, setting_, "look at");
  if (!S_ISREG(status.st_mode)) refuse(path, "it is no regular file", setting_);
  if (status.st_nlink > 1) refuse(path, "it has another name as well", setting_);
  require_ours(path, status, setting_);
  return status.st_nlink == 1;
}

Descriptor OwnDirectory::open_file(const std::string& name, int more_flags) const {
  const std::filesystem::path path = path_ / name;
  // Not to hang on a pipe that somebody has put there.
  constexpr int kFlags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  Descriptor file{::openat(directory_.get(), name.c_str(), kFlags | more_flags, S_IRUSR | S_IWUSR)};
  if (!file) refuse_to_open(path, "write into");
  if (!has_a_name(file, path)) refuse(path, "somebody has removed it", setting_);
  return file;
}

std::optional<Descriptor> OwnDirectory::open_to_read(const std::string& name) const {
  const std::filesystem::path path = path_ / name;
  Descriptor file{::openat(directory_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
  if (!file && errno == ENOENT) return std::nullopt;
  if (!file) refuse_to_open(path, "read");
  if (!has_a_name(file, path)) return std::nullopt;
  return file;
}

void OwnDirectory::check(const std::filesystem::path& path, std::string_view setting) {
  const Descriptor directory = open_directory(path);
  if (directory) {
    struct stat status {};
    if (::fstat(directory.get(), &status) != 0) refuse(path, errno_text(), setting);
    require_ours(path, status, setting);
    if (!takes_files(directory.get())) refuse(path, errno_text(), setting);
    return;
  }
  if (errno != ENOENT) refuse(path, why_not_opened(errno), setting);
  // It would be made: in the nearest directory above it that is there. A link that leads nowhere is there, and takes nothing.
  std::filesystem::path above = path.parent_path();
  struct stat status {};
  while (above.has_relative_path() && ::lstat(above.c_str(), &status) != 0)
    above = above.parent_path();
  const Descriptor nearest{::open(above.empty() ? "." : above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!nearest || !takes_files(nearest.get()))
    refuse(path, "it cannot be made in " + above.string() + ": " + errno_text(), setting);
}

}  // namespace sluice::detail
