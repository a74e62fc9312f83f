// SPDX-License-Identifier: Apache-2.0
#include "files_there.hpp"

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <unistd.h>

#include <sluice/connect/file_source.hpp>
#include <sluice/error.hpp>

namespace sluice::detail {

namespace fs = std::filesystem;

std::optional<struct stat> stat_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return std::nullopt;
  return status;
}

bool is(const struct stat& status, std::uint64_t device, std::uint64_t inode) {
  return status.st_dev == device && status.st_ino == inode;
}

// Of its first bytes; none if it has fewer.
std::optional<std::uint64_t> head_of(int file, std::uint64_t bytes) {
  char head[kHeadBytes];
  std::uint64_t had = 0;
  while (had < bytes) {
    const ssize_t got = ::pread(file, head + had, bytes - had, static_cast<off_t>(had));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return std::nullopt;
    had += static_cast<std::uint64_t>(got);
  }
  return file_key({head, bytes});
}

std::vector<std::string> regular_files_in(const std::string& directory) {
  std::vector<std::string> found;
  std::error_code error;
  fs::directory_iterator entry{directory, error};
  for (; !error && entry != fs::directory_iterator{}; entry.increment(error)) {
    const fs::path& path = entry->path();
    if (path.filename().string().starts_with('.')) continue;
    const auto status = stat_of(path.string());
    if (status && S_ISREG(status->st_mode)) found.push_back(path.string());
  }
  if (error) {
    throw Error{{"read the directory", directory, error.message(),
                 "check that it is there and the right to read it"}};
  }
  std::sort(found.begin(), found.end());
  return found;
}

}  // namespace sluice::detail
