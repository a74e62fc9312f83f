// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <charconv>
#include <limits>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/pinning/cpu_set.hpp>

namespace sluice::pinning {
namespace {

constexpr unsigned kWordBits = std::numeric_limits<CpuSet::Word>::digits;

// A written number above this is a slip of the pen, not a machine; without a bound "0-4000000000" would be
// taken at its word and fill half a gigabyte.
constexpr unsigned kLargestWritten = (1U << 20) - 1;

constexpr std::string_view kBlanks = " \t\r\n";

std::string_view without_blanks(std::string_view text) {
  const auto first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// `part` is a piece of the list.
[[noreturn]] void refuse(std::string_view cpulist, std::string_view part, const std::string& why) {
  const std::ptrdiff_t at = part.data() == nullptr ? 0 : part.data() - cpulist.data();
  throw Error{{.tried = "read the CPU list",
               .object = fmt::format("\"{}\"", cpulist),
               .why = fmt::format("at character {}, {}", at + 1, why),
               .remedy = "write numbers and ranges with commas between them, such as 0-3,8"}};
}

unsigned parse_unit(std::string_view cpulist, std::string_view item, std::string_view number) {
  unsigned unit = 0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), unit);
  const bool out_of_range = error == std::errc::result_out_of_range || unit > kLargestWritten;
  if (error == std::errc::invalid_argument || end != number.data() + number.size()) {
    refuse(cpulist, item, fmt::format("\"{}\" is neither a CPU number nor a range of them", item));
  }
  if (out_of_range) {
    refuse(cpulist, number, fmt::format("{} is above {}, the largest CPU number", number, kLargestWritten));
  }
  return unit;
}

}  // namespace

CpuSet::CpuSet(std::initializer_list<unsigned> units) {
  for (const unsigned unit : units)
    insert(unit);
}

CpuSet CpuSet::parse(std::string_view cpulist) {
  CpuSet set;
  std::string_view rest = without_blanks(cpulist);
  if (rest.empty()) return set;
  for (bool more = true; more;) {
    const auto comma = rest.find(',');
    more = comma != std::string_view::npos;
    const std::string_view item = without_blanks(rest.substr(0, comma));
    const std::string_view here = rest;
    if (more) rest.remove_prefix(comma + 1);

    if (item.empty()) refuse(cpulist, here, "there is nothing between, before or after two commas");
    const auto dash = item.find('-');
    const unsigned first = parse_unit(cpulist, item, item.substr(0, dash));
    const unsigned last =
        dash == std::string_view::npos ? first : parse_unit(cpulist, item, item.substr(dash + 1));
    if (last < first) refuse(cpulist, item, fmt::format("the range {} runs backwards", item));
    set.insert_range(first, last);
  }
  return set;
}

CpuSet CpuSet::from_mask(std::span<const Word> mask) {
  CpuSet set;
  set.words_.assign(mask.begin(), mask.end());
  set.trim();
  return set;
}

void CpuSet::insert(unsigned unit) {
  const std::size_t word = unit / kWordBits;
  if (word >= words_.size()) words_.resize(word + 1);
  words_[word] |= Word{1} << (unit % kWordBits);
}

void CpuSet::insert_range(unsigned first, unsigned last) {
  for (unsigned unit = first; unit < last; ++unit)
    insert(unit);
  insert(last);
}

void CpuSet::erase(unsigned unit) {
  const std::size_t word = unit / kWordBits;
  if (word >= words_.size()) return;
  words_[word] &= ~(Word{1} << (unit % kWordBits));
  trim();
}

bool CpuSet::contains(unsigned unit) const noexcept {
  const std::size_t word = unit / kWordBits;
  return word < words_.size() && ((words_[word] >> (unit % kWordBits)) & 1U) != 0;
}

bool CpuSet::includes(const CpuSet& other) const noexcept {
  if (other.words_.size() > words_.size()) return false;
  for (std::size_t i = 0; i < other.words_.size(); ++i) {
    if ((other.words_[i] & ~words_[i]) != 0) return false;
  }
  return true;
}

bool CpuSet::intersects(const CpuSet& other) const noexcept {
  for (std::size_t i = 0; i < std::min(words_.size(), other.words_.size()); ++i) {
    if ((words_[i] & other.words_[i]) != 0) return true;
  }
  return false;
}

std::size_t CpuSet::count() const noexcept {
  std::size_t total = 0;
  for (const Word word : words_)
    total += static_cast<std::size_t>(std::popcount(word));
  return total;
}

std::vector<unsigned> CpuSet::to_vector() const {
  std::vector<unsigned> units;
  units.reserve(count());
  for (std::size_t i = 0; i < words_.size(); ++i) {
    for (Word word = words_[i]; word != 0; word &= word - 1) {
      units.push_back(static_cast<unsigned>(i) * kWordBits + static_cast<unsigned>(std::countr_zero(word)));
    }
  }
  return units;
}

std::string CpuSet::to_string() const {
  const std::vector<unsigned> units = to_vector();
  std::string text;
  for (std::size_t i = 0; i < units.size(); ++i) {
    const unsigned first = units[i];
    while (i + 1 < units.size() && units[i + 1] == units[i] + 1)
      ++i;
    if (!text.empty()) text += ',';
    text += units[i] == first ? fmt::format("{}", first) : fmt::format("{}-{}", first, units[i]);
  }
  return text;
}

CpuSet& CpuSet::operator|=(const CpuSet& other) {
  if (other.words_.size() > words_.size()) words_.resize(other.words_.size());
  for (std::size_t i = 0; i < other.words_.size(); ++i)
    words_[i] |= other.words_[i];
  return *this;
}

CpuSet& CpuSet::operator&=(const CpuSet& other) {
  if (words_.size() > other.words_.size()) words_.resize(other.words_.size());
  for (std::size_t i = 0; i < words_.size(); ++i)
    words_[i] &= other.words_[i];
  trim();
  return *this;
}

CpuSet& CpuSet::operator-=(const CpuSet& other) {
  for (std::size_t i = 0; i < std::min(words_.size(), other.words_.size()); ++i) {
    words_[i] &= ~other.words_[i];
  }
  trim();
  return *this;
}

void CpuSet::trim() {
  while (!words_.empty() && words_.back() == 0)
    words_.pop_back();
}

}  // namespace sluice::pinning
