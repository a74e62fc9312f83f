// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/own_directory.hpp"

#include <cerrno>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

#include "sluice/error.hpp"

namespace sluice::detail {
namespace {

constexpr mode_t kOthersMayWrite = S_IWGRP | S_IWOTH;

[[noreturn]] void refuse(const std::filesystem::path& path, const std::string& why) {
  throw Error{
      {"write into", path.string(), why, "set report.path to a directory that only this user may write"}};
}

void require_ours(const std::filesystem::path& path, const struct stat& status) {
  if (status.st_uid != ::geteuid()) refuse(path, "it belongs to another user");
  if ((status.st_mode & kOthersMayWrite) != 0) refuse(path, "other users may write it");
}

Descriptor open_directory(const std::filesystem::path& path) {
  return Descriptor{::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
}

// A link gets one of two errors, depending on what it is taken for.
std::string why_not_opened(int reason) {
  return reason == ELOOP || reason == ENOTDIR ? "it is a link or no directory" : errno_text(reason);
}

void make(const std::filesystem::path& path) {
  std::error_code error;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), error);
  if (error) refuse(path, error.message());
  if (::mkdir(path.c_str(), S_IRWXU) != 0 && errno != EEXIST) refuse(path, errno_text());
}

// Tried, since permissions do not say it: /proc and a full file system refuse root as well. With errno.
bool takes_files(int directory) {
  const std::string probe = ".sluice-" + std::to_string(::getpid());
  if (::mkdirat(directory, probe.c_str(), S_IRWXU) != 0 && errno != EEXIST) return false;
  return ::unlinkat(directory, probe.c_str(), AT_REMOVEDIR) == 0;
}

}  // namespace

OwnDirectory::OwnDirectory(std::filesystem::path path)
    : path_{std::move(path)}, directory_{open_directory(path_)} {
  if (!directory_ && errno == ENOENT) {
    make(path_);
    directory_ = open_directory(path_);
  }
  struct stat status {};
  if (!directory_ || ::fstat(directory_.get(), &status) != 0) refuse(path_, why_not_opened(errno));
  require_ours(path_, status);
}

Descriptor OwnDirectory::open_file(const std::string& name, int more_flags) const {
  const std::filesystem::path path = path_ / name;
  // Not to hang on a pipe that somebody has put there.
  constexpr int kFlags = O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  Descriptor file{::openat(directory_.get(), name.c_str(), kFlags | more_flags, S_IRUSR | S_IWUSR)};
  if (!file) refuse(path, errno == ELOOP ? "it is a link" : errno_text());
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) refuse(path, errno_text());
  if (!S_ISREG(status.st_mode)) refuse(path, "it is no regular file");
  if (status.st_nlink != 1) refuse(path, "it has another name as well, or none");
  require_ours(path, status);
  return file;
}

void OwnDirectory::check(const std::filesystem::path& path) {
  const Descriptor directory = open_directory(path);
  if (directory) {
    struct stat status {};
    if (::fstat(directory.get(), &status) != 0) refuse(path, errno_text());
    require_ours(path, status);
    if (!takes_files(directory.get())) refuse(path, errno_text());
    return;
  }
  if (errno != ENOENT) refuse(path, why_not_opened(errno));
  // It would be made: in the nearest directory above it that is there.
  std::filesystem::path above = path.parent_path();
  while (above.has_relative_path() && ::access(above.c_str(), F_OK) != 0)
    above = above.parent_path();
  const Descriptor nearest{::open(above.empty() ? "." : above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!nearest || !takes_files(nearest.get()))
    refuse(path, "it cannot be made in " + above.string() + ": " + errno_text());
}

}  // namespace sluice::detail
