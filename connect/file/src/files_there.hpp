// SPDX-License-Identifier: Apache-2.0
// Which files are there, and how one is known again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

struct FileSourceOptions;

}  // namespace sluice

namespace sluice::detail {

// With each path in one way to write it, "d" for "./d/": by its text a file or directory is known to a later start.
FileSourceOptions with_tidy_paths(FileSourceOptions options);
// What else leads there: the whole path and the one from here, each also without the links in it.
std::vector<std::string> other_spellings(const std::string& path);

constexpr std::uint64_t kHeadBytes = 256;  // By which a file is known again, beside its inode.

constexpr int kTries = 8;  // To find what is renamed meanwhile.

// What the kernel tells of a file; times of the file system's clock.
struct FileStatus {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t names = 0;      // 0: it was removed, and is open still.
  std::int64_t written_ns = 0;  // Its content.
  std::int64_t changed_ns = 0;  // Its content, or its name.
  std::int64_t born_ns = 0;     // 0: it does not tell.
  bool regular = false;
  bool directory = false;
};

// None if there is nothing of that name, with the reason in errno. Throws Unavailable where the storage is away: whether there is
// something nobody knows then.
std::optional<FileStatus> status_of(const std::string& path);
std::optional<FileStatus> status_of(int file);

// Within one boot: the number of a device may be another after it.
bool is(const FileStatus& status, std::uint64_t device, std::uint64_t inode);

// Throws Unavailable if that is why it could not be read, or looked at.
void throw_if_away(int error, const std::string& path);

// The file_key() of the `bytes` at `offset_bytes`, at most kHeadBytes, of a file; none if it has fewer. Throws Unavailable.
std::optional<std::uint64_t> key_of_bytes(int file, std::uint64_t offset_bytes, std::uint64_t bytes);
inline std::optional<std::uint64_t> head_of(int file, std::uint64_t bytes) {
  return key_of_bytes(file, 0, bytes);
}

// A regular file, and what the kernel told of it when it was found.
struct FileThere {
  std::string path;
  FileStatus status;
  bool link = false;  // The path is a link to it.
};

// Whether another file has its name by now, or none.
bool has_moved(const FileThere& file);

// In the order of their names, without those that begin with a dot. Throws Error if the directory cannot be read, or Unavailable.
std::vector<FileThere> regular_files_in(const std::string& directory);

// What stands in those of the paths that are directories, without names that begin with a dot, and cannot be looked at: links
// that lead nowhere above all. Each with the reason.
std::vector<std::string> out_of_reach_in(const std::vector<std::string>& paths);

}  // namespace sluice::detail
