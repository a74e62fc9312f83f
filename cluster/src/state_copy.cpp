// SPDX-License-Identifier: Apache-2.0
#include "state_copy.hpp"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <fcntl.h>
#include <fstream>
#include <span>
#include <sstream>
#include <string_view>
#include <sys/stat.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/checksum.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/plain_text.hpp>
#include <sluice/error.hpp>

#include "assignment.hpp"

namespace sluice::detail {
namespace {

constexpr const char* kList = "copied";
constexpr const char* kNewList = "copied.part";
constexpr std::string_view kNoFile = "-";
constexpr std::size_t kBlock = std::size_t{1} << 20;
// File systems count time in ticks: what was written within the one in which a mark was taken may not show.
constexpr std::int64_t kSomeTicksNs = 100'000'000;

std::uint64_t sum_of(std::string_view text, std::uint64_t seed) noexcept {
  return checksum_of(std::as_bytes(std::span{text}), seed);
}

// Up to the end of the file, in blocks; false when it cannot be read.
template <class Take>
bool read_blocks(int file, Take&& take) {
  std::vector<char> block(kBlock);
  while (true) {
    std::size_t have = 0;
    while (have < block.size()) {
      const ssize_t got = ::read(file, block.data() + have, block.size() - have);
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return false;
      if (got == 0) break;
      have += static_cast<std::size_t>(got);
    }
    if (have != 0) take(std::string_view{block.data(), have});
    if (have < block.size()) return true;
  }
}

std::int64_t changed_ns(const struct stat& status) noexcept {
  return std::int64_t{status.st_ctim.tv_sec} * 1'000'000'000 + status.st_ctim.tv_nsec;
}

// Of this boot of the machine; 0 if that cannot be known.
std::uint64_t boot_mark() {
  static const std::uint64_t mark = [] {
    std::ifstream file{"/proc/sys/kernel/random/boot_id"};
    std::string id;
    return file >> id ? sum_of(id, 1) : std::uint64_t{0};
  }();
  return mark;
}

// The checksum that ends a line; nothing for one without.
std::optional<std::uint64_t> sum_in(std::string_view line) {
  const std::size_t blank = line.rfind(' ');
  if (blank == std::string_view::npos) return std::nullopt;
  const std::string_view text = line.substr(blank + 1);
  std::uint64_t sum = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), sum, 16);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return sum;
}

// Without its checksum.
std::optional<CopiedMessage> parse_line(const std::string& text) {
  std::istringstream words = words_of(text);
  CopiedMessage found;
  StateMessage& message = found.message;
  std::string file, rest;
  if (!(words >> found.sequence >> message.epoch >> message.host >> message.writer >> file >> message.parts >>
        message.stored >> message.whole_from >> found.bytes >> found.checksum >> found.mark.boot >>
        found.mark.inode >> found.mark.changed_ns) ||
      words >> rest || !is_cluster_name(message.host))
    return std::nullopt;
  message.part = message.parts;
  if (file == kNoFile) return found;
  if (!parse_state_file_name(file)) return std::nullopt;
  message.file = file;
  return found;
}

// Whether it begins with a base, or with deltas that are one.
bool has_base(const std::vector<CopiedMessage>& list) {
  const auto is_file = [](const CopiedMessage& each) { return !each.message.is_claim(); };
  const auto first = std::find_if(list.begin(), list.end(), is_file);
  if (first == list.end()) return false;
  const StateFileName name = *parse_state_file_name(first->message.file);
  return name.base || std::any_of(first, list.end(), [&](const CopiedMessage& each) {
           return is_file(each) && each.message.whole_from == name.number;
         });
}

}  // namespace

StateCopy::StateCopy(const OwnDirectory& directory, const std::string& subject)
    : directory_{directory}, seed_{sum_of(subject, 1)}, sum_{seed_} {}

// Nothing where there is none, nor for a link, or somebody else's.
std::optional<std::string> StateCopy::text(std::int64_t& changed) const {
  std::string text;
  struct stat status {};
  try {
    const std::optional<Descriptor> file = directory_.open_to_read(kList);
    if (!file || ::fstat(file->get(), &status) != 0 ||
        !read_blocks(file->get(), [&text](std::string_view block) { text += block; }))
      return std::nullopt;
  } catch (const Error&) {
    return std::nullopt;
  }
  changed = changed_ns(status);
  return text;
}

std::vector<CopiedMessage> StateCopy::whole_part() {
  std::vector<CopiedMessage> list;
  std::int64_t list_changed_ns = 0;
  std::istringstream lines{text(list_changed_ns).value_or("")};
  std::uint64_t seed = seed_;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t blank = line.rfind(' ');
    if (blank == std::string::npos) break;
    const std::string words = line.substr(0, blank);
    seed = sum_of(words, seed);
    if (line.substr(blank + 1) != fmt::format("{:016x}", seed)) break;
    const std::optional<CopiedMessage> next = parse_line(words);
    if (!next || (!list.empty() && next->sequence <= list.back().sequence)) break;
    if (!next->message.is_claim() && !bears_out(*next, list_changed_ns)) break;
    list.push_back(*next);
  }
  if (!has_base(list)) list.clear();
  return list;
}

// Lines behind one that is wrong, or cut off, are none: whoever reads the list checks them all.
bool StateCopy::go_on() {
  std::int64_t changed = 0;
  const std::string list = text(changed).value_or("");
  if (!list.ends_with('\n')) return false;
  std::string_view last{list};
  last.remove_suffix(1);
  const std::size_t before = last.rfind('\n');
  if (before != std::string_view::npos) last.remove_prefix(before + 1);
  const std::optional<std::uint64_t> sum = sum_in(last);
  if (sum) sum_ = *sum;
  return sum.has_value();
}

bool StateCopy::bears_out(const CopiedMessage& message, std::int64_t list_changed_ns) const {
  try {
    const std::optional<Descriptor> file = directory_.open_to_read(message.message.file);
    struct stat status {};
    if (!file || ::fstat(file->get(), &status) != 0 ||
        static_cast<std::uint64_t>(status.st_size) != message.bytes)
      return false;
    const bool as_marked = message.mark.boot != 0 && message.mark.boot == boot_mark() &&
                           message.mark.inode == status.st_ino &&
                           message.mark.changed_ns == changed_ns(status);
    return (as_marked && message.mark.changed_ns + kSomeTicksNs < list_changed_ns) ||
           checksum_of_file(message.message.file) == message.checksum;
  } catch (const Error&) {
    return false;
  }
}

std::uint64_t StateCopy::checksum_of_file(const std::string& name) const {
  const std::optional<Descriptor> file = directory_.open_to_read(name);
  std::uint64_t sum = 0;
  if (!file || !read_blocks(file->get(), [&sum](std::string_view block) { sum = sum_of(block, sum); }))
    fail("read", name.c_str(), file ? errno : ENOENT);
  return sum;
}

FileMark StateCopy::mark_of_file(const std::string& name) const {
  struct stat status {};
  if (::fstatat(directory_.descriptor(), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    fail("look at", name.c_str(), errno);
  return {.boot = boot_mark(), .inode = status.st_ino, .changed_ns = changed_ns(status)};
}

std::string StateCopy::line_of(const CopiedMessage& copied) {
  const StateMessage& message = copied.message;
  const std::string words = fmt::format(
      "{} {} {} {} {} {} {} {} {} {} {} {} {}", copied.sequence, message.epoch, message.host, message.writer,
      message.is_claim() ? kNoFile : message.file, message.parts, message.stored, message.whole_from,
      copied.bytes, copied.checksum, copied.mark.boot, copied.mark.inode, copied.mark.changed_ns);
  sum_ = sum_of(words, sum_);
  return fmt::format("{} {:016x}\n", words, sum_);
}

void StateCopy::begin(const std::vector<CopiedMessage>& list) {
  sum_ = seed_;
  std::string text;
  for (const CopiedMessage& each : list)
    text += line_of(each);
  write(text, O_CREAT | O_TRUNC, kNewList);
  if (::renameat(directory_.descriptor(), kNewList, directory_.descriptor(), kList) != 0)
    fail("write", kList, errno);
}

void StateCopy::add(const CopiedMessage& message) {
  write(line_of(message), O_APPEND, kList);
}

void StateCopy::forget() {
  for (const char* name : {kList, kNewList}) {
    if (::unlinkat(directory_.descriptor(), name, 0) != 0 && errno != ENOENT) fail("remove", name, errno);
  }
}

void StateCopy::write(const std::string& text, int flags, const char* name) const {
  const Descriptor file{
      ::openat(directory_.descriptor(), name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | flags, 0600)};
  if (!file) fail("write", name, errno);
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t written = ::write(file.get(), rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail("write", name, written < 0 ? errno : ENOSPC);
    rest.remove_prefix(static_cast<std::size_t>(written));
  }
}

void StateCopy::fail(const char* tried, const char* name, int reason) const {
  throw Error{
      {tried, (directory_.path() / name).string(), errno_text(reason), remedy_for(reason, kDataOption)}};
}

}  // namespace sluice::detail
