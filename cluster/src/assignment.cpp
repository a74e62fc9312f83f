// SPDX-License-Identifier: Apache-2.0
#include "assignment.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <sstream>

#include <fmt/format.h>

#include <sluice/detail/plain_text.hpp>

namespace sluice::detail {
namespace {

using State = PartitionEntry::State;
using Kind = NextStep::Kind;

constexpr std::array<std::string_view, 4> kStates{"unowned", "owned", "given", "finished"};
constexpr std::size_t kMostName = 32;
constexpr std::string_view kNobody = "-";

// Names are never "-" alone.
std::string shown(const std::string& host) {
  return host.empty() ? std::string{kNobody} : host;
}

std::optional<std::string> read_host(std::string text) {
  if (text == kNobody) return std::string{};
  if (!is_cluster_name(text)) return std::nullopt;
  return text;
}

// How many partitions each host that stays has or gets.
using Loads = std::map<std::string, unsigned>;

const std::string& host_with_fewest(const Loads& loads) {
  return std::min_element(loads.begin(), loads.end(),
                          [](const auto& one, const auto& other) { return one.second < other.second; })
      ->first;
}

const std::string& host_with_most(const Loads& loads) {
  return std::max_element(loads.begin(), loads.end(),
                          [](const auto& one, const auto& other) { return one.second < other.second; })
      ->first;
}

bool stays(const Hosts& hosts, const std::string& host) {
  const auto found = hosts.find(host);
  return found != hosts.end() && !found->second;
}

// What is known before anything is decided.
struct Survey {
  Loads loads{};
  std::vector<unsigned> orphans{};
  bool settled = true;  // Nothing is on its way from one host to another.
};

// Adds what `own` is to do about a partition that has somebody to care for it; else it is an orphan.
void look_at(const std::string& own, const Hosts& hosts, unsigned number, const PartitionEntry& entry,
             Survey& survey, std::vector<NextStep>& steps) {
  if (entry.state == State::given && stays(hosts, entry.owner)) {
    survey.settled = false;
    ++survey.loads[entry.owner];
    if (entry.owner == own) steps.push_back({Kind::claim, number});
    return;
  }
  if (entry.state != State::owned || !hosts.contains(entry.owner)) {
    survey.settled = false;
    survey.orphans.push_back(number);
    return;
  }
  const bool leaving = !stays(hosts, entry.owner);
  if (!leaving) ++survey.loads[entry.owner];
  const bool wanted_elsewhere = entry.wanted != entry.owner && stays(hosts, entry.wanted);
  survey.settled &= !leaving && !wanted_elsewhere;
  if (entry.owner != own) return;
  if (wanted_elsewhere) {
    steps.push_back({Kind::give, number, entry.wanted});
  } else if (leaving) {
    steps.push_back({Kind::release, number});
  }
}

// What is given to `own`, and what it gets from those hosts that may be gone next.
template <class MayGo>
std::set<unsigned> next_of(const std::string& own, const Hosts& hosts, const Partitions& partitions,
                           MayGo&& may_go) {
  std::set<unsigned> found;
  if (!stays(hosts, own)) return found;
  // Until its process is started, which may be the one that has the copy.
  for (unsigned number = 0; number < partitions.size(); ++number) {
    if (partitions[number].state == State::given && partitions[number].owner == own) found.insert(number);
  }
  for (const auto& [host, leaving] : hosts) {
    if (host == own) continue;
    for (const NextStep& step : next_steps(host, hosts, partitions)) {
      if (step.kind == Kind::give && step.to == own) found.insert(step.partition);
    }
    if (!may_go(leaving)) continue;
    Hosts others = hosts;
    others.erase(host);
    for (const NextStep& step : next_steps(own, others, partitions)) {
      const PartitionEntry& entry = partitions[step.partition];
      if (step.kind == Kind::claim && entry.state == State::owned && entry.owner == host)
        found.insert(step.partition);
    }
  }
  return found;
}

}  // namespace

std::string_view name_of(State state) noexcept {
  return kStates.at(static_cast<std::size_t>(state));
}

std::string to_text(const PartitionEntry& entry) {
  return fmt::format("1 {} {} {} {}", name_of(entry.state), shown(entry.owner), entry.epoch,
                     shown(entry.wanted));
}

std::optional<PartitionEntry> parse_partition_entry(std::string_view text) {
  std::istringstream words = words_of(std::string{text});
  unsigned version = 0;
  std::string state, owner, wanted, rest;
  PartitionEntry entry;
  if (!(words >> version >> state >> owner >> entry.epoch >> wanted) || version != 1 || words >> rest)
    return std::nullopt;
  const auto found = std::find(kStates.begin(), kStates.end(), state);
  const auto owner_read = read_host(std::move(owner));
  const auto wanted_read = read_host(std::move(wanted));
  if (found == kStates.end() || !owner_read || !wanted_read) return std::nullopt;
  entry.state = static_cast<State>(found - kStates.begin());
  entry.owner = *owner_read;
  entry.wanted = *wanted_read;
  return entry;
}

PartitionEntry taken_by(PartitionEntry entry, const std::string& host) {
  entry.state = State::owned;
  entry.owner = host;
  ++entry.epoch;
  if (entry.wanted != host) entry.wanted.clear();
  return entry;
}

bool is_cluster_name(std::string_view name) noexcept {
  const auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
  };
  return !name.empty() && name != kNobody && name.size() <= kMostName &&
         std::all_of(name.begin(), name.end(), allowed);
}

std::vector<NextStep> next_steps(const std::string& own, const Hosts& hosts, const Partitions& partitions) {
  std::vector<NextStep> steps;
  Survey survey;
  for (const auto& [host, leaving] : hosts) {
    if (!leaving) survey.loads[host] = 0;
  }
  for (unsigned number = 0; number < partitions.size(); ++number) {
    if (partitions[number].state != State::finished)
      look_at(own, hosts, number, partitions[number], survey, steps);
  }
  Loads& loads = survey.loads;
  if (loads.empty()) return steps;
  for (const unsigned number : survey.orphans) {
    const std::string to = host_with_fewest(loads);
    ++loads[to];
    if (to == own) steps.push_back({Kind::claim, number});
  }
  const std::string fewest = host_with_fewest(loads);
  if (!survey.settled || host_with_most(loads) != own || loads[own] < loads[fewest] + 2) return steps;
  for (auto number = static_cast<unsigned>(partitions.size()); number-- > 0;) {
    const PartitionEntry& entry = partitions[number];
    if (entry.state == State::finished || entry.owner != own || entry.wanted == own) continue;
    steps.push_back({Kind::give, number, fewest});
    break;
  }
  return steps;
}

std::set<unsigned> copied_partitions(const std::string& own, const Hosts& hosts,
                                     const Partitions& partitions) {
  return next_of(own, hosts, partitions, [](bool) { return true; });
}

std::set<unsigned> coming_partitions(const std::string& own, const Hosts& hosts,
                                     const Partitions& partitions) {
  return next_of(own, hosts, partitions, [](bool leaving) { return leaving; });
}

}  // namespace sluice::detail
