// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <map>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/pinning/location.hpp>

#include "usable.hpp"

namespace sluice::pinning {
namespace {

struct Kind {
  std::string_view name;
  int ProcessingUnit::*level;  // A null pointer for the unit itself.
};
constexpr std::array kKinds{
    Kind{"package", &ProcessingUnit::package}, Kind{"socket", &ProcessingUnit::package},
    Kind{"numa", &ProcessingUnit::numa_node},  Kind{"node", &ProcessingUnit::numa_node},
    Kind{"l3", &ProcessingUnit::l3},           Kind{"l2", &ProcessingUnit::l2},
    Kind{"core", &ProcessingUnit::core},       Kind{"pu", nullptr}};

struct Word {
  std::string_view name;
  int ProcessingUnit::*level;
};
constexpr std::array kWords{Word{"cores", &ProcessingUnit::core}, Word{"ll_caches", &ProcessingUnit::l3},
                            Word{"numa_domains", &ProcessingUnit::numa_node},
                            Word{"packages", &ProcessingUnit::package},
                            Word{"sockets", &ProcessingUnit::package}};

constexpr std::string_view kValid =
    "write CPU numbers (0-3,8), locations (package:0, numa:1, l3:0-1, package:0.core:0-3.pu:0), or one of "
    "cores, "
    "ll_caches, numa_domains, packages";

class Reader {
 public:
  Reader(const Topology& topology, std::string_view text, std::string_view stage)
      : topology_{topology}, text_{text}, whose_{stage.empty() ? "" : fmt::format(" of {}", stage)} {}

  Location read() {
    if (text_.empty()) refuse(0, "it is empty");
    for (const Word& word : kWords) {
      if (text_ == word.name) return whole(word);
    }
    CpuSet set;
    while (true) {
      set |= is_digit() ? numbers() : location();
      if (at_ == text_.size()) break;
      if (text_[at_] != ',')
        refuse(at_, fmt::format("'{}' stands where a comma or the end should", text_[at_]));
      ++at_;
    }
    return {.sets = {set & topology_.allowed()}, .not_allowed = set - topology_.allowed()};
  }

 private:
  [[noreturn]] void refuse(std::size_t at, std::string why) const {
    throw Error{{.tried = fmt::format("read the place{}, at character {} of", whose_, at + 1),
                 .object = fmt::format("\"{}\"", text_),
                 .why = std::move(why),
                 .remedy = std::string{kValid}}};
  }

  bool is_digit() const { return at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; }

  unsigned number() {
    unsigned value = 0;
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error != std::errc{}) refuse(at_, "a number is missing, or too large");
    at_ += static_cast<std::size_t>(end - begin);
    return value;
  }

  // "3" or "0-3": its ends.
  std::pair<unsigned, unsigned> range() {
    const std::size_t begin = at_;
    const unsigned first = number();
    if (at_ == text_.size() || text_[at_] != '-') return {first, first};
    ++at_;
    const unsigned last = number();
    if (last < first) refuse(begin, fmt::format("the range {}-{} runs backwards", first, last));
    return {first, last};
  }

  // CPU numbers are meant one by one: each must be there.
  CpuSet numbers() {
    const std::size_t begin = at_;
    const auto [first, last] = range();
    const CpuSet allowed = topology_.allowed();
    CpuSet set;
    for (unsigned unit = first;; ++unit) {
      if (!allowed.contains(unit))
        refuse(begin, fmt::format("CPU {} is not allowed; allowed are {}", unit, allowed.to_string()));
      set.insert(unit);
      if (unit == last) return set;
    }
  }

  // The things of that kind among the units, in their order.
  static std::vector<Units> things(const Units& units, int ProcessingUnit::*level) {
    std::vector<Units> found;
    std::map<int, std::size_t> index;
    for (const ProcessingUnit& unit : units) {
      if (level != nullptr && unit.*level == kUnknown) continue;
      const auto [known, is_new] =
          index.emplace(level == nullptr ? static_cast<int>(unit.os_index) : unit.*level, found.size());
      if (is_new) found.emplace_back();
      found[known->second].push_back(unit);
    }
    return found;
  }

  const Kind& kind() {
    const std::size_t begin = at_;
    const std::size_t end = std::min(text_.find_first_of(":,.", at_), text_.size());
    const std::string_view name = text_.substr(at_, end - at_);
    const auto found =
        std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& each) { return each.name == name; });
    if (found == kKinds.end()) {
      const bool is_word =
          std::any_of(kWords.begin(), kWords.end(), [&](const Word& each) { return each.name == name; });
      refuse(begin, is_word ? fmt::format("{} stands alone", name)
                            : fmt::format("there is no kind of place \"{}\"", name));
    }
    at_ = end;
    if (at_ == text_.size() || text_[at_] != ':')
      refuse(at_, fmt::format("{} needs an index: {}:0", name, name));
    ++at_;
    return *found;
  }

  // What can be named within these units.
  static std::string kinds_in(const Units& units) {
    std::string names;
    for (const std::string_view name : {"package", "numa", "l3", "l2", "core", "pu"}) {
      const auto kind =
          std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& each) { return each.name == name; });
      if (!things(units, kind->level).empty()) names += fmt::format("{}{}", names.empty() ? "" : ", ", name);
    }
    return names;
  }

  Units step(const Units& units) {
    const Kind& wanted = kind();
    const std::vector<Units> found = things(units, wanted.level);
    const std::size_t begin = at_;
    std::pair<unsigned, unsigned> indexes{0, 0};
    const bool all = text_.substr(at_).starts_with("all");
    if (all) {
      at_ += 3;
      indexes.second = found.empty() ? 0 : static_cast<unsigned>(found.size()) - 1;
    } else {
      indexes = range();
    }
    if (indexes.second >= found.size()) {
      refuse(begin, found.empty() ? fmt::format("there is no {} here, only {}", wanted.name, kinds_in(units))
                                  : fmt::format("there is no {} {} here, only 0 to {}", wanted.name,
                                                indexes.second, found.size() - 1));
    }
    Units chosen;
    for (unsigned index = indexes.first; index <= indexes.second; ++index) {
      // A thing that is named is meant, also beside others; of `all` there are those that there are.
      if (!all) must_be_allowed(begin, fmt::format("{} {}", wanted.name, index), found[index]);
      chosen.insert(chosen.end(), found[index].begin(), found[index].end());
    }
    return chosen;
  }

  void must_be_allowed(std::size_t at, std::string_view what, const Units& units) const {
    if (set_of(units).intersects(topology_.allowed())) return;
    refuse(at, fmt::format("{} ({}) has no allowed unit; allowed are {}", what, set_of(units).to_string(),
                           topology_.allowed().to_string()));
  }

  CpuSet location() {
    const std::size_t begin = at_;
    Units units = step(topology_.units);
    while (at_ < text_.size() && text_[at_] == '.') {
      ++at_;
      units = step(units);
    }
    must_be_allowed(begin, text_.substr(begin, at_ - begin), units);
    return set_of(units);
  }

  Location whole(const Word& word) const {
    Location result{.whole = true};
    for (const Units& thing : things(topology_.units, word.level)) {
      CpuSet usable = set_of(thing) & topology_.allowed();
      if (!usable.empty()) result.sets.push_back(std::move(usable));
    }
    if (result.sets.empty())
      refuse(0, fmt::format("this machine tells of none, only of {}", kinds_in(topology_.units)));
    return result;
  }

  const Topology& topology_;
  std::string_view text_;
  std::string whose_;
  std::size_t at_ = 0;
};

}  // namespace

Location parse_place(const Topology& topology, std::string_view text, std::string_view stage) {
  return Reader{topology, text, stage}.read();
}

StageLocation parse_stage_location(std::string_view text) {
  const std::size_t at = text.find('@');
  if (at == std::string_view::npos || at == 0 || at + 1 == text.size()) {
    throw Error{{.tried = "read the stage's place",
                 .object = fmt::format("\"{}\"", text),
                 .why = at == 0 ? "no stage stands before the @" : "no place stands behind an @",
                 .remedy = "write a stage and its place, such as parse@package:0"}};
  }
  return {.stage = std::string{text.substr(0, at)}, .place = std::string{text.substr(at + 1)}};
}

}  // namespace sluice::pinning
