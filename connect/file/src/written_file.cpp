// SPDX-License-Identifier: Apache-2.0
#include "written_file.hpp"

#include <cerrno>
#include <fcntl.h>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/printable.hpp>

#include "completed_files.hpp"

namespace sluice::detail {

namespace {

namespace fs = std::filesystem;

struct stat status_of(int file, const fs::path& path) {
  struct stat status {};
  if (::fstat(file, &status) != 0) fail("look at", path, errno);
  return status;
}

void check_known(const struct stat& status, const fs::path& path, std::uint64_t inode, bool has_bytes,
                 std::uint64_t bytes) {
  std::string why;
  if (!has_bytes) why = fmt::format("it holds {} bytes and {} were written", status.st_size, bytes);
  if (status.st_ino != inode) why = "another file has taken its place";
  if (!why.empty()) throw Error{{"go on writing", printable(path.string()), why, kPutItBack}};
}

int error_of_sync(int file) noexcept {
  while (::fsync(file) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

void sync(int file, const fs::path& path) {
  if (const int reason = error_of_sync(file); reason != 0) fail("bring to the disk", path, reason);
}

}  // namespace

WrittenFile::WrittenFile(fs::path path, int more_flags)
    : path_{std::move(path)},
      file_{::open(path_.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | more_flags, 0644)} {
  if (file_.get() < 0) fail("open", path_, errno);
  if (!S_ISREG(status_of(file_.get(), path_).st_mode))
    throw Error{{"write", printable(path_.string()), "it is no regular file", "move it away"}};
}

std::uint64_t WrittenFile::inode() const {
  return status_of(file_.get(), path_).st_ino;
}

std::uint64_t WrittenFile::bytes() const {
  return static_cast<std::uint64_t>(status_of(file_.get(), path_).st_size);
}

void WrittenFile::check_is(std::uint64_t inode, std::uint64_t bytes) const {
  const struct stat status = status_of(file_.get(), path_);
  check_known(status, path_, inode, static_cast<std::uint64_t>(status.st_size) >= bytes, bytes);
}

void WrittenFile::check_is_there(std::uint64_t inode, std::uint64_t bytes) const {
  struct stat status {};
  if (::stat(path_.c_str(), &status) != 0) fail("go on writing", path_, errno);
  check_known(status, path_, inode, static_cast<std::uint64_t>(status.st_size) == bytes, bytes);
}

void WrittenFile::cut(std::uint64_t bytes) const {
  if (::ftruncate(file_.get(), static_cast<off_t>(bytes)) != 0) fail("cut", path_, errno);
}

void WrittenFile::write(std::string_view text, std::uint64_t at) const {
  while (!text.empty()) {
    const ssize_t written = ::pwrite(file_.get(), text.data(), text.size(), static_cast<off_t>(at));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail("write", path_, written < 0 ? errno : ENOSPC);
    text.remove_prefix(static_cast<std::size_t>(written));
    at += static_cast<std::uint64_t>(written);
  }
}

void WrittenFile::bring_to_disk() const {
  detail::sync(file_.get(), path_);
}

int WrittenFile::sync() const noexcept {
  return error_of_sync(file_.get());
}

void bring_to_disk(const fs::path& directory) {
  const Descriptor names{::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (names.get() < 0) fail("open", directory, errno);
  sync(names.get(), directory);
}

}  // namespace sluice::detail
