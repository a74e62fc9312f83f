// SPDX-License-Identifier: Apache-2.0
#include "sluice/dead_letter.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <fcntl.h>
#include <functional>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>

#include "death/backtrace.hpp"
#include "worker/letters_there.hpp"

namespace sluice {

using namespace detail;

namespace {

constexpr std::uint64_t kMagic = 0x32206461656420ULL;        // " dead 2"
constexpr std::uint64_t kAgainMagic = 0x33206461656420ULL;   // " dead 3": with a FirstName as well.
constexpr std::uint64_t kFormerMagic = 0x31206461656420ULL;  // " dead 1": without a HeadEnd.
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

// Behind the head.
struct HeadEnd {
  std::uint64_t origin;  // Of the EventId,
  std::uint64_t event_position;
  std::int64_t order_ns;
};
static_assert(sizeof(HeadEnd) == 24);

// Behind that, of a letter that was retried and became one again.
struct FirstName {
  std::uint64_t origin;
  std::uint64_t event_position;
};

std::uint64_t head_bytes_of(const Head& head) {
  return sizeof(Head) + (head.magic != kFormerMagic ? sizeof(HeadEnd) : 0) +
         (head.magic == kAgainMagic ? sizeof(FirstName) : 0);
}

// Whether less than a head may be the beginning of one.
bool may_begin_a_head(std::string_view bytes) {
  const auto begins = [&](std::uint64_t magic) {
    return std::memcmp(bytes.data(), &magic, std::min(bytes.size(), sizeof(magic))) == 0;
  };
  return begins(kMagic) || begins(kAgainMagic) || begins(kFormerMagic);
}

Descriptor open_letters(const std::filesystem::path& file) {
  std::error_code none;
  // A device may have no end, a pipe none to write into it, and a directory is read by nobody.
  if (std::filesystem::exists(file, none) && !std::filesystem::is_regular_file(file, none)) {
    throw Error{{"read the dead letters in", file.string(), "it is no regular file",
                 "name a file or directory of them"}};
  }
  Descriptor open{::open(file.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  if (open) return open;
  throw Error{{"read the dead letters in", file.string(), errno_text(), "name a file or directory of them"}};
}

// Less where the file ends.
std::string read_at(int file, std::uint64_t from, std::size_t bytes) {
  std::string text(bytes, '\0');
  std::size_t done = 0;
  while (done < bytes) {
    const ssize_t got = ::pread(file, text.data() + done, bytes - done, static_cast<off_t>(from + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error{{"read", "dead letters", errno_text(), ""}};
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  text.resize(done);
  return text;
}

std::uint64_t length_of(int file) {
  const off_t end = ::lseek(file, 0, SEEK_END);
  return end > 0 ? static_cast<std::uint64_t>(end) : 0;
}

[[noreturn]] void refuse_damaged(const std::filesystem::path& file, std::size_t offset) {
  throw Error{{"read the dead letters in", file.string(),
               fmt::format("at byte {} there is no dead letter", offset),
               "name a file that a pipeline wrote"}};
}

bool is_sound(const Head& head) {
  const bool known = head.magic == kMagic || head.magic == kAgainMagic || head.magic == kFormerMagic;
  if (!known || head.total_bytes > kMostBytes || head.total_bytes < head_bytes_of(head)) return false;
  std::uint64_t left = head.total_bytes - head_bytes_of(head);
  for (const std::uint64_t bytes : head.text_bytes) {
    if (bytes > left) return false;
    left -= bytes;
  }
  return left == 0;
}

// What a letter begins with.
struct Beginning {
  Head head{};
  HeadEnd end{};
  bool whole = false;  // The head, not its end.
  bool sound = false;  // As far as it is there.
};

Beginning beginning_at(int file, std::uint64_t offset) {
  const std::string bytes = read_at(file, offset, sizeof(Head) + sizeof(HeadEnd));
  Beginning begin;
  std::memcpy(&begin.head, bytes.data(), std::min(bytes.size(), sizeof(Head)));
  begin.whole = bytes.size() >= sizeof(Head);
  begin.sound = begin.whole ? is_sound(begin.head) : may_begin_a_head(bytes);
  begin.end = {0, 0, begin.head.time_ns};
  const bool named = begin.head.magic == kMagic || begin.head.magic == kAgainMagic;
  if (named && bytes.size() == sizeof(Head) + sizeof(HeadEnd))
    std::memcpy(&begin.end, bytes.data() + sizeof(Head), sizeof(HeadEnd));
  return begin;
}

// `bytes`: what stands behind the head.
DeadLetter decode(const Head& head, std::string_view bytes) {
  HeadEnd end{0, 0, head.time_ns};
  FirstName first{0, 0};
  if (head.magic != kFormerMagic) std::memcpy(&end, bytes.data(), sizeof(end));
  if (head.magic == kAgainMagic) std::memcpy(&first, bytes.data() + sizeof(end), sizeof(first));
  std::string_view texts = bytes.substr(head_bytes_of(head) - sizeof(Head));
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
  letter.event = {end.origin, end.event_position};
  letter.first_event = {first.origin, first.event_position};
  letter.order_ns = end.order_ns;
  return letter;
}

}  // namespace

std::string encode(const DeadLetter& letter) {
  const std::array<std::string_view, kTexts> texts{letter.stage, letter.from,      letter.type,
                                                   letter.cause, letter.backtrace, letter.payload};
  const bool again = letter.first_event != EventId{};
  Head head{};
  head.magic = again ? kAgainMagic : kMagic;
  head.total_bytes = head_bytes_of(head);
  head.position = letter.position;
  head.head_bytes = letter.head_bytes;
  head.time_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(letter.time.time_since_epoch()).count();
  head.replica = letter.replica;
  head.replicas = letter.replicas;
  head.attempts = letter.attempts;
  head.signal = letter.signal;
  head.record = letter.record ? 1 : 0;
  head.retried_by = letter.retried_by;
  const HeadEnd end{letter.event.origin, letter.event.position,
                    letter.order_ns != 0 ? letter.order_ns : head.time_ns};
  for (std::size_t i = 0; i < kTexts; ++i) {
    head.text_bytes[i] = texts[i].size();
    head.total_bytes += texts[i].size();
  }
  const FirstName first{letter.first_event.origin, letter.first_event.position};
  std::string bytes(head_bytes_of(head), '\0');
  std::memcpy(bytes.data(), &head, sizeof(head));
  std::memcpy(bytes.data() + sizeof(head), &end, sizeof(end));
  if (again) std::memcpy(bytes.data() + sizeof(head) + sizeof(end), &first, sizeof(first));
  for (const std::string_view text : texts)
    bytes += text;
  return bytes;
}

std::vector<DeadLetter> read_dead_letters(const std::filesystem::path& file) {
  std::vector<DeadLetter> letters;
  for (const PlacedLetter& place : placed_letters(file))
    letters.push_back(letter_at(file, place.offset));
  return letters;
}

bool comes_before(const DeadLetter& one, const DeadLetter& other) noexcept {
  return one.order_ns < other.order_ns;
}

std::vector<PlacedLetter> detail::placed_letters(const std::filesystem::path& path) {
  const Descriptor file = open_letters(path);
  const std::uint64_t length = length_of(file.get());
  std::vector<PlacedLetter> places;
  std::uint64_t offset = 0;
  while (true) {
    const Beginning begin = beginning_at(file.get(), offset);
    if (!begin.sound) refuse_damaged(path, offset);
    if (!begin.whole || begin.head.total_bytes > length - offset) return places;
    places.push_back({offset, begin.end.order_ns, begin.head.retried_by != 0});
    offset += begin.head.total_bytes;
  }
}

DeadLetter detail::letter_at(const std::filesystem::path& path, std::uint64_t offset) {
  const Descriptor file = open_letters(path);
  const Beginning begin = beginning_at(file.get(), offset);
  if (!begin.whole || !begin.sound || begin.head.total_bytes > length_of(file.get()) - offset)
    refuse_damaged(path, offset);
  const std::size_t bytes = begin.head.total_bytes - sizeof(Head);
  const std::string rest = read_at(file.get(), offset + sizeof(Head), bytes);
  if (rest.size() != bytes) refuse_damaged(path, offset);
  DeadLetter letter = decode(begin.head, rest);
  letter.file = path;
  letter.offset = offset;
  return letter;
}

LettersThere detail::letters_there(int file, const std::function<bool(const EventId&)>& wanted) {
  LettersThere there;
  const std::uint64_t length = length_of(file);
  while (true) {
    const auto [head, end, whole, sound] = beginning_at(file, there.whole_bytes);
    there.sound = sound;
    if (!sound || !whole || head.total_bytes > length - there.whole_bytes) return there;
    there.last_order_ns = std::max(there.last_order_ns, end.order_ns);
    if (wanted({end.origin, end.event_position})) {
      const std::string rest =
          read_at(file, there.whole_bytes + sizeof(Head), head.total_bytes - sizeof(Head));
      if (rest.size() != head.total_bytes - sizeof(Head)) return there;
      there.wanted.push_back(decode(head, rest));
    }
    there.whole_bytes += head.total_bytes;
  }
}

void detail::each_dead_letter(const std::filesystem::path& file_or_directory,
                              const std::function<void(DeadLetter)>& visit) {
  std::error_code error;
  if (!std::filesystem::is_directory(file_or_directory, error)) {
    for (const PlacedLetter& place : placed_letters(file_or_directory))
      visit(letter_at(file_or_directory, place.offset));
    return;
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator{file_or_directory, error}) {
    if (entry.path().extension() == kSuffix) files.push_back(entry.path());
  }
  if (error) {
    throw Error{
        {"list the directory", file_or_directory.string(), error.message(), "name one that can be read"}};
  }
  // Letters of one instant have the same order each time they are read.
  std::sort(files.begin(), files.end());
  std::vector<std::pair<PlacedLetter, const std::filesystem::path*>> found;
  for (const std::filesystem::path& file : files) {
    for (const PlacedLetter& place : placed_letters(file))
      found.emplace_back(place, &file);
  }
  std::stable_sort(found.begin(), found.end(), [](const auto& one, const auto& other) {
    return one.first.order_ns < other.first.order_ns;
  });
  for (const auto& [place, file] : found)
    visit(letter_at(*file, place.offset));
}

std::vector<DeadLetter> find_dead_letters(const std::filesystem::path& file_or_directory) {
  std::vector<DeadLetter> letters;
  each_dead_letter(file_or_directory, [&](DeadLetter letter) { letters.push_back(std::move(letter)); });
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

std::string dead_letters_file(std::string_view stage, unsigned replica, std::uint64_t run,
                              std::uint32_t number) {
  return fmt::format("{}-{}.{:09x}{}{}", stage, replica, run, number > 1 ? fmt::format("-{}", number) : "",
                     kSuffix);
}

}  // namespace sluice
