// SPDX-License-Identifier: Apache-2.0
#include "completed_files.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/storage.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/unavailable.hpp>

#include "written_file.hpp"

namespace sluice::detail {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kName = "{\"file\":\"";
constexpr std::string_view kBytes = "\",\"bytes\":";

std::optional<struct stat> status_of(const fs::path& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0) return status;
  if (errno != ENOENT) fail("look at", path, errno);
  return std::nullopt;
}

std::string read_behind(const WrittenFile& file, std::uint64_t from) {
  constexpr std::size_t kChunk = std::size_t{64} << 10;
  std::string text;
  for (;;) {  // Ends at the file's end.
    const std::size_t had = text.size();
    text.resize(had + kChunk);
    const ssize_t got = ::pread(file.descriptor(), text.data() + had, kChunk, static_cast<off_t>(from + had));
    const int reason = got < 0 ? errno : 0;
    text.resize(had + static_cast<std::size_t>(std::max(got, ssize_t{0})));
    if (reason == EINTR) continue;
    if (reason != 0) fail("read", file.path(), reason);
    if (got == 0) return text;
  }
}

std::optional<CompletedFile> parse(std::string_view line) {
  const std::size_t behind_name = line.find(kBytes);
  if (!line.starts_with(kName) || behind_name == std::string_view::npos) return std::nullopt;
  CompletedFile file{std::string{line.substr(kName.size(), behind_name - kName.size())}, 0};
  const char* const digits = line.data() + behind_name + kBytes.size();
  const auto [end, error] = std::from_chars(digits, line.data() + line.size(), file.bytes);
  if (error != std::errc{} || end == line.data() + line.size() || *end != ',') return std::nullopt;
  return file;
}

}  // namespace

void fail(const std::string& tried, const fs::path& file, int reason) {
  if (is_storage_away_or_full(reason))
    throw Unavailable{fmt::format("{}: {}", printable(file.string()), errno_text(reason))};
  throw Error{{tried, printable(file.string()), errno_text(reason),
               reason == EEXIST ? "move it away" : "name a directory that can be written"}};
}

std::optional<std::uint64_t> number_in(std::string_view name, std::string_view prefix) {
  if (!name.starts_with(prefix) || name.size() == prefix.size() || name[prefix.size()] != '-')
    return std::nullopt;
  std::uint64_t number = 0;
  const char* const end = name.data() + name.size();
  const auto [behind, error] = std::from_chars(name.data() + prefix.size() + 1, end, number);
  if (error != std::errc{} || behind == end || *behind != '.') return std::nullopt;
  return number;
}

void for_each_numbered(const fs::path& directory, const std::string& prefix,
                       const std::function<void(std::uint64_t number, const std::string& name)>& tell) {
  std::error_code error;
  for (fs::directory_iterator at{directory, error}, end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (const auto number = number_in(name, prefix)) tell(*number, name);
  }
  if (error) fail("read", directory, error.value());
}

void publish(const fs::path& part, const fs::path& whole, NamesSynced synced) {
  // A hard link takes nobody else's place, as a rename would.
  if (::link(part.c_str(), whole.c_str()) != 0 && errno != ENOENT && errno != EEXIST &&
      ::access(whole.c_str(), F_OK) != 0 && ::rename(part.c_str(), whole.c_str()) != 0)
    fail("publish", whole, errno);
  const auto one = status_of(part);
  if (!one) return;
  // The second name of what it is the first of: else somebody has made a file of that name.
  if (const auto other = status_of(whole); !other || other->st_ino != one->st_ino) {
    throw Error{{"publish", printable(whole.string()), "there is another file of that name",
                 "move it away: the complete one is beside it, with .part"}};
  }
  if (synced == NamesSynced::yes) bring_to_disk(whole.parent_path());
  if (::unlink(part.c_str()) != 0 && errno != ENOENT) fail("remove", part, errno);
}

// Names need no escapes: RollingFile allows none that would.
std::string manifest_line(const CompletedFile& file, std::uint64_t content_bytes, std::uint64_t records) {
  return fmt::format("{}{}{}{},\"content_bytes\":{},\"records\":{}}}\n", kName, file.name, kBytes, file.bytes,
                     content_bytes, records);
}

std::string last_completed(const WrittenFile& manifest, std::uint64_t end) {
  constexpr std::uint64_t kLongestLine = 1024;
  const std::uint64_t from = end - std::min(end, kLongestLine);
  std::string text = read_behind(manifest, from);
  text.resize(std::min<std::size_t>(text.size(), end - from));
  if (!text.ends_with('\n')) return {};
  text.pop_back();
  const std::size_t before = text.rfind('\n');
  const auto file = parse(std::string_view{text}.substr(before == std::string::npos ? 0 : before + 1));
  return file ? file->name : std::string{};
}

std::vector<CompletedFile> completed_behind(const WrittenFile& manifest, std::uint64_t from) {
  const std::string text = read_behind(manifest, from);
  std::vector<CompletedFile> files;
  std::size_t at = 0;
  for (std::size_t end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    auto file = parse(std::string_view{text}.substr(at, end - at));
    if (!file) break;
    files.push_back(std::move(*file));
  }
  return files;
}

bool remove_completed(const fs::path& directory, const CompletedFile& file) {
  const fs::path path = directory / file.name;
  const auto status = status_of(path);
  if (!status) return false;
  if (!S_ISREG(status->st_mode) || static_cast<std::uint64_t>(status->st_size) != file.bytes) {
    throw Error{{"take back", printable(path.string()),
                 "the manifest has it with " + std::to_string(file.bytes) + " bytes: it is another file",
                 "move it away: what was published under that name comes again"}};
  }
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) fail("take back", path, errno);
  return true;
}

bool take_back(const fs::path& whole, const fs::path& part, std::uint64_t inode, NamesSynced synced) {
  const auto status = status_of(whole);
  if (!status || !S_ISREG(status->st_mode) || status->st_ino != inode) return false;
  const auto other = status_of(part);
  if (other && other->st_ino != inode) return false;
  // A hard link takes nobody else's place; where there are none, nothing is of that name.
  if (!other && ::link(whole.c_str(), part.c_str()) != 0) {
    if (::rename(whole.c_str(), part.c_str()) != 0) fail("take back", whole, errno);
    return true;
  }
  if (synced == NamesSynced::yes) bring_to_disk(part.parent_path());
  if (::unlink(whole.c_str()) != 0 && errno != ENOENT) fail("take back", whole, errno);
  return true;
}

}  // namespace sluice::detail
