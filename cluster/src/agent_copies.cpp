// SPDX-License-Identifier: Apache-2.0
// What the agent does about copies of checkpoints: its own, and those that it waits for before it gives a partition away.
#include <chrono>

#include <fmt/format.h>

#include "agent.hpp"

namespace sluice::detail {
namespace {

// So long a partition goes on where it is until the host that is to have it has a copy of its checkpoints.
constexpr std::chrono::nanoseconds kLongestWait = std::chrono::seconds{10};
// And so long, if that has one, until it is restored there.
constexpr std::chrono::nanoseconds kLongestWaitWithCopy = std::chrono::seconds{30};

}  // namespace

void Agent::keep_copies(Time now, const Hosts& hosts, const Partitions& entries) {
  if (hosts != copies_hosts_ || entries != copies_entries_) {
    copies_hosts_ = hosts;
    copies_entries_ = entries;
    std::set<unsigned> wanted = copied_partitions(options_.host, hosts, entries);
    // What comes to this host now is its own in a moment: the process that has the copy may be the one that goes on.
    for (const NextStep& step : next_steps(options_.host, hosts, entries)) {
      if (step.kind == NextStep::Kind::claim && copies_wanted_.contains(step.partition))
        wanted.insert(step.partition);
    }
    // A former process of it writes there yet.
    std::erase_if(wanted, [this](unsigned number) { return children_.contains(number); });
    copies_wanted_ = std::move(wanted);
    if (options_.copy_arguments) {
      const std::set<unsigned> coming = coming_partitions(options_.host, hosts, entries);
      std::map<unsigned, CopyPlace> copies;
      for (const unsigned number : copies_wanted_)
        copies[number] = coming.contains(number) ? CopyPlace::coming : options_.copies_in;
      followers_.want(copies);
    }
  }
  followers_.look(now);
  tell_copies();
}

// Whoever waits for a copy is told of it; where there are none, at once.
void Agent::tell_copies() {
  std::map<unsigned, bool> ready;
  if (options_.copy_arguments) {
    ready = followers_.ready();
  } else {
    for (const unsigned number : copies_wanted_)
      ready[number] = true;
  }
  std::vector<unsigned> over;
  for (const auto& [number, copy] : owners_->view().copies) {
    if (copy.host == options_.host && !ready.contains(number)) over.push_back(number);
  }
  for (const unsigned number : over)
    owners_->forget_copy(number);
  for (const auto& [number, ahead] : ready) {
    const CopyEntry copy{options_.host, ahead};
    const auto told = owners_->view().copies.find(number);
    if (told == owners_->view().copies.end() || told->second != copy) owners_->tell_copy(number, copy);
  }
}

// Of a host that leaves: whoever has the copy.
std::string Agent::successor_of(unsigned number, const Hosts& hosts) const {
  const auto copy = owners_->view().copies.find(number);
  if (copy == owners_->view().copies.end()) return {};
  const auto host = hosts.find(copy->second.host);
  return host != hosts.end() && !host->second ? host->first : std::string{};
}

// Only while it may stay: the host that is to have it is alive, and this one is not asked to hurry.
bool Agent::waits_for_copy(unsigned number, const std::string& to, Time now) {
  const auto copy = owners_->view().copies.find(number);
  if (to.empty() || (copy != owners_->view().copies.end() && copy->second == CopyEntry{to, true}))
    return false;
  const auto [since, is_new] = waiting_.try_emplace(number, now);
  if (is_new) say(fmt::format("partition {} waits for {} to have a copy of its checkpoints", number, to));
  const bool copied = copy != owners_->view().copies.end() && copy->second.host == to;
  return now - since->second < (copied ? kLongestWaitWithCopy : kLongestWait);
}

}  // namespace sluice::detail
