// SPDX-License-Identifier: Apache-2.0
// Which files are there, and how one is known again.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <sys/stat.h>
#include <vector>

namespace sluice::detail {

constexpr std::uint64_t kHeadBytes = 256;  // By which a file is known again, beside its inode.

// None if there is nothing of that name, with the reason in errno.
std::optional<struct stat> stat_of(const std::string& path);

// Within one boot: the number of a device may be another after it.
bool is(const struct stat& status, std::uint64_t device, std::uint64_t inode);

// The file_key() of the first `bytes`, at most kHeadBytes, of a file; none if it has fewer.
std::optional<std::uint64_t> head_of(int file, std::uint64_t bytes);

// In order, without those that begin with a dot. Throws Error if the directory cannot be read.
std::vector<std::string> regular_files_in(const std::string& directory);

}  // namespace sluice::detail
