// SPDX-License-Identifier: Apache-2.0
#include "sluice/dead_letter.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <span>
#include <unistd.h>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>

#include "death/backtrace.hpp"

namespace sluice {

using namespace detail;

namespace {

constexpr std::uint64_t kMagic = 0x31206461656420ULL;  // " dead 1"
constexpr std::string_view kSuffix = ".dead";
// More than any lane holds: what claims to be longer is no letter.
constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 40;

enum Text : std::size_t { kStage, kFrom, kType, kCause, kBacktrace, kPayload, kTexts };

struct Head {
  std::uint64_t magic;
  std::uint64_t total_bytes;  // With this head.
  std::uint64_t position;
  std::uint64_t head_bytes;
  std::int64_t time_ns;  // Since 1970.
  std::uint32_t replica;
  std::uint32_t replicas;
  std::uint32_t attempts;
  std::int32_t signal;
  std::uint32_t record;
  std::uint32_t retried_by;
  std::uint64_t text_bytes[kTexts];
};
static_assert(sizeof(Head) == 112);

std::string read_file(const std::filesystem::path& file) {
  std::ifstream in{file, std::ios::binary};
  std::string bytes{std::istreambuf_iterator<char>{in}, {}};
  if (!in.is_open() || in.bad()) {
    throw Error{
        {"read the dead letters in", file.string(), errno_text(), "name a file or directory of them"}};
  }
  return bytes;
}

[[noreturn]] void refuse(const std::filesystem::path& file, std::size_t offset) {
  throw Error{{"read the dead letters in", file.string(),
               fmt::format("at byte {} there is no dead letter", offset),
               "name a file that a pipeline wrote"}};
}

bool is_sound(const Head& head) {
  if (head.magic != kMagic || head.total_bytes > kMostBytes) return false;
  std::uint64_t left = head.total_bytes - sizeof(Head);
  for (const std::uint64_t bytes : head.text_bytes) {
    if (bytes > left) return false;
    left -= bytes;
  }
  return left == 0 && head.total_bytes >= sizeof(Head);
}

DeadLetter decode(const Head& head, std::string_view texts) {
  std::array<std::string, kTexts> text;
  for (std::size_t i = 0; i < kTexts; ++i) {
    text[i] = texts.substr(0, head.text_bytes[i]);
    texts.remove_prefix(head.text_bytes[i]);
  }
  DeadLetter letter;
  letter.stage = std::move(text[kStage]);
  letter.replica = head.replica;
  letter.replicas = head.replicas;
  letter.from = std::move(text[kFrom]);
  letter.position = head.position;
  letter.type = std::move(text[kType]);
  letter.record = head.record != 0;
  letter.retried_by = head.retried_by;
  letter.head_bytes = head.head_bytes;
  letter.attempts = head.attempts;
  letter.signal = head.signal;
  letter.cause = std::move(text[kCause]);
  letter.backtrace = std::move(text[kBacktrace]);
  letter.time =
      std::chrono::system_clock::time_point{std::chrono::duration_cast<std::chrono::system_clock::duration>(
          std::chrono::nanoseconds{head.time_ns})};
  letter.payload = std::move(text[kPayload]);
  return letter;
}

}  // namespace

std::string encode(const DeadLetter& letter) {
  const std::array<std::string_view, kTexts> texts{letter.stage, letter.from,      letter.type,
                                                   letter.cause, letter.backtrace, letter.payload};
  Head head{};
  head.magic = kMagic;
  head.total_bytes = sizeof(Head);
  head.position = letter.position;
  head.head_bytes = letter.head_bytes;
  head.time_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(letter.time.time_since_epoch()).count();
  head.replica = letter.replica;
  head.replicas = letter.replicas;
  head.attempts = letter.attempts;
  head.signal = letter.signal;
  head.record = letter.record ? 1 : 0;
  head.retried_by = letter.retried_by;
  for (std::size_t i = 0; i < kTexts; ++i) {
    head.text_bytes[i] = texts[i].size();
    head.total_bytes += texts[i].size();
  }
  std::string bytes(sizeof(Head), '\0');
  std::memcpy(bytes.data(), &head, sizeof(head));
  for (const std::string_view text : texts)
    bytes += text;
  return bytes;
}

std::vector<DeadLetter> read_dead_letters(const std::filesystem::path& file) {
  const std::string bytes = read_file(file);
  std::vector<DeadLetter> letters;
  std::string_view rest = bytes;
  while (rest.size() >= sizeof(Head)) {
    Head head{};
    std::memcpy(&head, rest.data(), sizeof(head));
    if (!is_sound(head)) refuse(file, bytes.size() - rest.size());
    if (head.total_bytes > rest.size()) return letters;
    letters.push_back(decode(head, rest.substr(sizeof(Head), head.total_bytes - sizeof(Head))));
    letters.back().file = file;
    letters.back().offset = bytes.size() - rest.size();
    rest.remove_prefix(head.total_bytes);
  }
  // Less than a head: the beginning of one, or of something else.
  if (!rest.empty() && std::memcmp(rest.data(), &kMagic, std::min(rest.size(), sizeof(kMagic))) != 0) {
    refuse(file, bytes.size() - rest.size());
  }
  return letters;
}

std::vector<DeadLetter> find_dead_letters(const std::filesystem::path& file_or_directory) {
  std::error_code error;
  if (!std::filesystem::is_directory(file_or_directory, error)) return read_dead_letters(file_or_directory);
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator{file_or_directory, error}) {
    if (entry.path().extension() == kSuffix) files.push_back(entry.path());
  }
  // Letters of one instant have the same order each time they are read.
  std::sort(files.begin(), files.end());
  std::vector<DeadLetter> letters;
  for (const std::filesystem::path& file : files) {
    std::vector<DeadLetter> found = read_dead_letters(file);
    std::move(found.begin(), found.end(), std::back_inserter(letters));
  }
  if (error) {
    throw Error{
        {"list the directory", file_or_directory.string(), error.message(), "name one that can be read"}};
  }
  std::stable_sort(letters.begin(), letters.end(),
                   [](const DeadLetter& one, const DeadLetter& other) { return one.time < other.time; });
  return letters;
}

std::string named_backtrace(const DeadLetter& letter) {
  return symbolize_places(letter.backtrace);
}

bool mark_retried(const DeadLetter& letter, std::uint32_t retried_by) {
  const Descriptor file{::open(letter.file.c_str(), O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)};
  const auto at = static_cast<off_t>(letter.offset + offsetof(Head, retried_by));
  return file && ::pwrite(file.get(), &retried_by, sizeof(retried_by), at) == sizeof(retried_by);
}

std::string dead_letters_file(std::string_view stage, unsigned replica,
                              std::chrono::system_clock::time_point time, std::uint32_t number) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
  return fmt::format("{}-{}.{:%Y%m%dT%H%M%S}-{:08x}{}", stage, replica,
                     fmt::gmtime(std::chrono::system_clock::to_time_t(seconds)), number, kSuffix);
}

}  // namespace sluice
