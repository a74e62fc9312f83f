// SPDX-License-Identifier: Apache-2.0
// Reads the texts: the pure parsers of `sluice doctor`.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>
#include <map>

#include "findings.hpp"

namespace sluice::command {
namespace {

using pinning::CpuSet;

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return lines;
}

// Takes the next word away; empty at the end.
std::string_view next_word(std::string_view& text) {
  const std::size_t begin = std::min(text.find_first_not_of(" \t"), text.size());
  text.remove_prefix(begin);
  const std::size_t end = std::min(text.find_first_of(" \t"), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

std::optional<unsigned long long> number_of(std::string_view word) {
  unsigned long long value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}

struct Counts {
  std::string what;
  unsigned long long ours = 0;
};

// A line each: its name, a count for each unit of the head, then words.
std::map<std::string, Counts, std::less<>> counts_of(std::string_view text, const CpuSet& units) {
  std::map<std::string, Counts, std::less<>> all;
  const auto lines = lines_of(text);
  if (lines.empty()) return all;
  std::vector<bool> is_ours;
  std::string_view head = lines.front();
  for (std::string_view word = next_word(head); word.starts_with("CPU"); word = next_word(head)) {
    const auto unit = number_of(word.substr(3));
    is_ours.push_back(unit && units.contains(static_cast<unsigned>(*unit)));
  }
  for (std::size_t i = 1; i < lines.size(); ++i) {
    std::string_view rest = lines[i];
    const std::string_view name = next_word(rest);
    if (!name.ends_with(':')) continue;
    Counts counts;
    std::string_view behind = rest;
    for (const bool ours : is_ours) {
      const auto count = number_of(next_word(rest));
      if (!count) break;
      if (ours) counts.ours += *count;
      behind = rest;
    }
    for (std::string_view word = next_word(behind); !word.empty(); word = next_word(behind))
      counts.what.append(counts.what.empty() ? "" : " ").append(word);
    all.emplace(name.substr(0, name.size() - 1), std::move(counts));
  }
  return all;
}

struct Ticks {
  double all = 0;
  double stolen = 0;
};

// "cpu3 user nice system idle iowait irq softirq steal guest guest_nice"; what guests take is in user and nice.
Ticks ticks_of(std::string_view stat, const CpuSet& units) {
  constexpr int kColumns = 8;
  Ticks sum;
  for (std::string_view line : lines_of(stat)) {
    const std::string_view name = next_word(line);
    if (!name.starts_with("cpu") || name.size() < 4) continue;
    const auto unit = number_of(name.substr(3));
    if (!unit || !units.contains(static_cast<unsigned>(*unit))) continue;
    for (int column = 1; column <= kColumns; ++column) {
      const auto ticks = static_cast<double>(number_of(next_word(line)).value_or(0));
      sum.all += ticks;
      if (column == kColumns) sum.stolen += ticks;
    }
  }
  return sum;
}

}  // namespace

std::vector<Rate> rates(std::string_view before, std::string_view after, const CpuSet& units,
                        double seconds) {
  std::vector<Rate> found;
  const auto earlier = counts_of(before, units);
  for (const auto& [name, counts] : counts_of(after, units)) {
    const auto known = earlier.find(name);
    const unsigned long long from = known == earlier.end() ? counts.ours : known->second.ours;
    // A counter of 32 bits that has wrapped is passed over.
    if (counts.ours <= from || seconds <= 0) continue;
    found.push_back({name, counts.what, static_cast<double>(counts.ours - from) / seconds});
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const Rate& a, const Rate& b) { return a.per_second > b.per_second; });
  return found;
}

std::optional<double> steal(std::string_view before, std::string_view after, const CpuSet& units) {
  const Ticks then = ticks_of(before, units);
  const Ticks now = ticks_of(after, units);
  if (now.all <= then.all || now.stolen < then.stolen) return std::nullopt;
  return (now.stolen - then.stolen) / (now.all - then.all);
}

std::optional<CpuSet> parse_hex_mask(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0)
    text.remove_suffix(1);
  if (text.empty()) return std::nullopt;
  CpuSet set;
  unsigned bit = 0;
  for (std::size_t i = text.size(); i-- > 0;) {
    if (text[i] == ',') continue;
    unsigned digit = 0;
    const auto [end, error] = std::from_chars(&text[i], &text[i] + 1, digit, 16);
    if (error != std::errc{} || end != &text[i] + 1) return std::nullopt;
    for (unsigned k = 0; k < 4; ++k) {
      if ((digit >> k & 1U) != 0) set.insert(bit + k);
    }
    bit += 4;
  }
  return set;
}

std::string_view chosen(std::string_view text) {
  const std::size_t open = text.find('[');
  const std::size_t close = text.find(']', open);
  if (open == std::string_view::npos || close == std::string_view::npos) return {};
  return text.substr(open + 1, close - open - 1);
}

std::optional<unsigned long long> soft_limit(std::string_view limits, std::string_view name) {
  for (std::string_view line : lines_of(limits)) {
    if (!line.starts_with(name)) continue;
    line.remove_prefix(name.size());
    const std::string_view word = next_word(line);
    return word == "unlimited" ? std::numeric_limits<unsigned long long>::max() : number_of(word);
  }
  return std::nullopt;
}

std::optional<int> kernel_version(std::string_view release) {
  const std::size_t dot = release.find('.');
  if (dot == std::string_view::npos) return std::nullopt;
  const std::string_view behind = release.substr(dot + 1);
  const auto major = number_of(release.substr(0, dot));
  const auto minor =
      number_of(behind.substr(0, std::min(behind.find_first_not_of("0123456789"), behind.size())));
  if (!major || !minor || *major > 1000 || *minor > 99) return std::nullopt;
  return static_cast<int>(*major * 100 + *minor);
}

}  // namespace sluice::command
