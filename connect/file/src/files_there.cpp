// SPDX-License-Identifier: Apache-2.0
#include "files_there.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <string>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/connect/file_source.hpp>
#include <sluice/detail/storage.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/unavailable.hpp>

namespace sluice::detail {

namespace fs = std::filesystem;

namespace {

std::int64_t ns_of(const struct statx_timestamp& time) {
  return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

std::optional<FileStatus> ask_for_status(int file, const char* path, int flags) {
  struct statx status {};
  if (::statx(file, path, flags, STATX_BASIC_STATS | STATX_BTIME, &status) != 0) return std::nullopt;
  FileStatus told;
  told.device = ::makedev(status.stx_dev_major, status.stx_dev_minor);
  told.inode = status.stx_ino;
  told.size_bytes = status.stx_size;
  told.names = status.stx_nlink;
  told.written_ns = ns_of(status.stx_mtime);
  told.changed_ns = std::max(told.written_ns, ns_of(status.stx_ctime));
  told.born_ns = (status.stx_mask & STATX_BTIME) != 0 ? ns_of(status.stx_btime) : 0;
  told.regular = S_ISREG(status.stx_mode);
  told.directory = S_ISDIR(status.stx_mode);
  return told;
}

// Of an open file, for people.
std::string name_of(int file) {
  const int error = errno;
  std::error_code gone;
  std::string name = fs::read_symlink(fmt::format("/proc/self/fd/{}", file), gone).string();
  errno = error;
  return name;
}

// What ".." leads to only the kernel knows.
std::string tidy(const std::string& path) {
  std::string tidy = path.starts_with('/') ? "/" : "";
  for (const fs::path& part : fs::path{path}) {
    if (part.empty() || part == "." || part == "/") continue;
    if (!tidy.empty() && tidy.back() != '/') tidy += '/';
    tidy += part.string();
  }
  return tidy.empty() && !path.empty() ? "." : tidy;
}

}  // namespace

FileSourceOptions with_tidy_paths(FileSourceOptions options) {
  for (std::string& path : options.paths)
    path = tidy(path);
  return options;
}

std::vector<std::string> other_spellings(const std::string& path) {
  std::vector<std::string> spellings;
  std::error_code error;
  const fs::path here = fs::current_path(error);
  if (error) return spellings;
  const fs::path canonical_here = fs::weakly_canonical(here, error);
  for (const fs::path& whole : {here / path, fs::weakly_canonical(here / path, error)}) {
    if (whole.empty()) continue;
    const std::string text = tidy(whole.string());
    spellings.push_back(text);
    for (const fs::path& from : {here, canonical_here})
      spellings.push_back(tidy(fs::path{text}.lexically_relative(from).string()));
  }
  return spellings;
}

std::optional<FileStatus> status_of(const std::string& path) {
  auto status = ask_for_status(AT_FDCWD, path.c_str(), 0);
  if (!status) throw_if_away(errno, path);
  return status;
}

std::optional<FileStatus> status_of(int file) {
  auto status = ask_for_status(file, "", AT_EMPTY_PATH);
  if (!status && is_storage_away(errno)) throw_if_away(errno, name_of(file));
  return status;
}

void throw_if_away(int error, const std::string& path) {
  if (is_storage_away(error)) throw Unavailable{fmt::format("{}: {}", printable(path), errno_text(error))};
}

bool is(const FileStatus& status, std::uint64_t device, std::uint64_t inode) {
  return status.device == device && status.inode == inode;
}

bool has_moved(const FileThere& file) {
  const auto now = status_of(file.path);
  return !now || !is(*now, file.status.device, file.status.inode);
}

std::optional<std::uint64_t> key_of_bytes(int file, std::uint64_t offset_bytes, std::uint64_t bytes) {
  char there[kHeadBytes];
  std::uint64_t had = 0;
  while (had < bytes) {
    const ssize_t got = ::pread(file, there + had, bytes - had, static_cast<off_t>(offset_bytes + had));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && is_storage_away(errno)) throw_if_away(errno, name_of(file));
    if (got <= 0) return std::nullopt;
    had += static_cast<std::uint64_t>(got);
  }
  return file_key({there, bytes});
}

std::vector<FileThere> regular_files_in(const std::string& directory) {
  std::vector<FileThere> found;
  std::error_code error;
  fs::directory_iterator entry{directory, error};
  for (; !error && entry != fs::directory_iterator{}; entry.increment(error)) {
    const fs::path& path = entry->path();
    if (path.filename().string().starts_with('.')) continue;
    const auto status = status_of(path.string());
    std::error_code gone;
    if (status && status->regular) found.push_back({path.string(), *status, entry->is_symlink(gone)});
  }
  throw_if_away(error.value(), directory);
  if (error) {
    throw Error{{"read the directory", directory, error.message(),
                 "check that it is there and the right to read it"}};
  }
  std::sort(found.begin(), found.end(),
            [](const FileThere& one, const FileThere& other) { return one.path < other.path; });
  return found;
}

std::vector<std::string> out_of_reach_in(const std::vector<std::string>& paths) {
  std::vector<std::string> found;
  for (const std::string& directory : paths) {
    std::error_code error;
    fs::directory_iterator entry{directory, error};
    for (; !error && entry != fs::directory_iterator{}; entry.increment(error)) {
      const fs::path& path = entry->path();
      if (path.filename().string().starts_with('.') || status_of(path.string())) continue;
      const int why = errno;
      std::error_code gone;
      // A name that is gone by now is none.
      if (why != ENOENT || entry->is_symlink(gone)) found.push_back(path.string() + ": " + errno_text(why));
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

}  // namespace sluice::detail
