// SPDX-License-Identifier: Apache-2.0
// The files that RollingFile has completed: how they are published, and how those are taken back that a restore from a
// checkpoint finds behind what is committed.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::detail {

class WrittenFile;

struct CompletedFile {
  std::string name;
  std::uint64_t bytes;
};

// Throws Unavailable where it may pass: somebody makes room, or the disk comes back.
[[noreturn]] void fail(const std::string& tried, const std::filesystem::path& file, int reason);

// The number in a file's name, PREFIX-NUMBER.SUFFIX; nothing for other names.
std::optional<std::uint64_t> number_in(std::string_view name, std::string_view prefix);
// Of all files in `directory` that have a number, in no order. Throws Error where it cannot be read.
void for_each_numbered(const std::filesystem::path& directory, const std::string& prefix,
                       const std::function<void(std::uint64_t number, const std::string& name)>& tell);

// Whether a file's new name is brought to the disk before the old one is removed: a power loss may have the second change without
// the first, and the file with neither name.
enum class NamesSynced : bool { no, yes };

// Gives `part` its name `whole`; both or only `whole` may be there. Throws Error for another file of that name.
void publish(const std::filesystem::path& part, const std::filesystem::path& whole, NamesSynced synced);

// A line of the manifest, with its newline.
std::string manifest_line(const CompletedFile& file, std::uint64_t content_bytes, std::uint64_t records);

// The name in the last of the lines before byte `end` of a manifest; empty where there is no such line.
std::string last_completed(const WrittenFile& manifest, std::uint64_t end);
// What the whole lines behind byte `from` of a manifest say, up to the first that is none of manifest_line()'s.
std::vector<CompletedFile> completed_behind(const WrittenFile& manifest, std::uint64_t from);

// Removes the file in `directory`, if it is as it was completed; false when there is none. Throws Error for one of that name
// that is another.
bool remove_completed(const std::filesystem::path& directory, const CompletedFile& file);

// Gives the published file `whole` its name `part` again, if it is the one of that inode; false when it is not. Both names
// may be there.
bool take_back(const std::filesystem::path& whole, const std::filesystem::path& part, std::uint64_t inode,
               NamesSynced synced);

}  // namespace sluice::detail
