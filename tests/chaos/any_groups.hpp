// SPDX-License-Identifier: Apache-2.0
// Keyed state of a pipeline drawn by chance (any_pipeline.hpp), whose rows come and go and whose members are changed one by
// one. It finds out itself when a change was undone in part.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include <sluice/sluice.hpp>

#include "any_pipeline.hpp"

namespace sluice::test {

class AnyGroups {
 public:
  explicit AnyGroups(Worker& worker)
      : sums_{worker.state<Sums>("sums")}, groups_{worker.table<std::uint64_t, Group>("groups", kRows)} {}

  // One more event of `key`. `say(key, events)` is told of each row that goes: one that is full, and where the table is,
  // all of them but those of one event.
  template <class Say>
  void add(std::uint64_t key, const Token& token, Say&& say) {
    if (groups_.size() == groups_.capacity() && !groups_.contains(key)) sweep(say);
    ++sums_.edit(&Sums::handled);
    ++groups_.edit(key, &Group::events);
    ++groups_.edit(key, &Group::parts, token.id % kParts, 1).front();
    if (const Group* group = groups_.find(key); group->events == kMost) take(key, *group, say);
  }

  // At the end: one row, if there is one.
  template <class Say>
  bool take_one(Say&& say) {
    for (std::uint64_t slot = 0; slot < groups_.slots(); ++slot) {
      if (const auto* row = groups_.slot(slot)) {
        take(row->key, row->value, say);
        return true;
      }
    }
    demand(sums_->handled == sums_->said);
    return false;
  }

 private:
  static constexpr std::uint64_t kRows = 32;  // Fewer than there are keys.
  static constexpr std::size_t kParts = 4;
  static constexpr std::uint64_t kMost = 6;

  struct Group {
    std::uint64_t events = 0;
    std::array<std::uint64_t, kParts> parts{};
  };
  struct Sums {
    std::uint64_t handled = 0;
    std::uint64_t said = 0;
  };

  // State that is damaged ends the process, as an event does.
  static void demand(bool whole) {
    if (!whole) std::_Exit(1);
  }
  static void check(const Group& group) {
    std::uint64_t sum = 0;
    for (const std::uint64_t part : group.parts)
      sum += part;
    demand(sum == group.events && sum != 0);
  }

  // By value: the row goes.
  template <class Say>
  void take(std::uint64_t key, Group group, Say&& say) {
    check(group);
    demand(groups_.erase(key) && !groups_.contains(key));
    sums_.edit(&Sums::said) += group.events;
    say(key, group.events);
  }

  template <class Say>
  void sweep(Say&& say) {
    std::uint64_t kept = 0;
    groups_.for_each([&](std::uint64_t, const Group& group) { kept += group.events; });
    demand(sums_->handled == sums_->said + kept);
    const std::uint64_t least = kept == groups_.size() ? 1 : 2;
    for (std::uint64_t slot = 0; slot < groups_.slots(); ++slot) {
      const auto* row = groups_.slot(slot);
      if (row != nullptr && row->value.events >= least) take(row->key, row->value, say);
    }
  }

  Recoverable<Sums> sums_;
  Table<std::uint64_t, Group> groups_;
};

}  // namespace sluice::test
