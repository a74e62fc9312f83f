// SPDX-License-Identifier: Apache-2.0
#include "sqlite_file.hpp"

#include <cerrno>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <memory>
#include <sys/stat.h>
#include <unistd.h>

#include <sluice/detail/path.hpp>
#include <sluice/detail/storage.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/unavailable.hpp>

namespace sluice::detail {

namespace {

[[noreturn]] void refuse(const std::string& path, const std::string& why, const std::string& remedy) {
  throw Error{{"open the database", printable(path), why, remedy}};
}

// Whether there is one nobody knows then.
void throw_if_away(int reason, const std::string& path) {
  if (is_storage_away(reason))
    throw Unavailable{"the database " + printable(path) + ": " + errno_text(reason)};
}

// With no link in it.
std::string real_directory(const std::filesystem::path& file) {
  const std::string directory = file.parent_path().string();
  const std::unique_ptr<char, decltype(&std::free)> real{::realpath(directory.c_str(), nullptr), &std::free};
  if (real == nullptr) {
    const int reason = errno;
    throw_if_away(reason, file.string());
    refuse(file.string(), "its directory " + printable(directory) + ": " + errno_text(reason),
           reason == ENOENT ? "make the directory, or name another" : "");
  }
  return real.get();
}

}  // namespace

std::string checked_database(const std::string& path, bool may_be_missing) {
  if (path.empty() || path == ":memory:" || path.starts_with("file:") || path.find('\0') != std::string::npos)
    refuse(path, "it is no path",
           "name a file: a database in memory dies with its worker, and no URI is taken");
  const std::filesystem::path absolute = absolute_path(path);
  if (!absolute.has_filename()) refuse(path, "it is a directory", "name a file in it");
  const std::string directory = real_directory(absolute);
  std::string real = (std::filesystem::path{directory} / absolute.filename()).string();
  struct stat status {};
  if (::lstat(real.c_str(), &status) != 0) {
    throw_if_away(errno, path);
    if (errno != ENOENT) refuse(path, errno_text(), "");
    if (!may_be_missing)
      refuse(path, "it does not exist",
             "make it with its tables, or give SqliteOptions::schema, which makes it");
  } else if (S_ISLNK(status.st_mode)) {
    refuse(path, "it is a symbolic link", "name the file that it leads to");
  } else if (S_ISDIR(status.st_mode)) {
    refuse(path, "it is a directory", "name a file in it");
  } else if (!S_ISREG(status.st_mode)) {
    refuse(path, "it is no regular file", "name a database of SQLite");
  }
  if (::faccessat(AT_FDCWD, directory.c_str(), W_OK | X_OK, AT_EACCESS) != 0)
    refuse(path, "its directory " + printable(directory) + ": " + errno_text(),
           "the pipeline's user must be able to make files there: SQLite needs two more beside the database");
  return real;
}

FileIdentity identity_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) {
    throw_if_away(errno, path);
    throw Error{{"go on writing the database", printable(path), errno_text(),
                 "it was removed or renamed while the pipeline ran: put it back"}};
  }
  return {status.st_dev, status.st_ino};
}

}  // namespace sluice::detail
