// SPDX-License-Identifier: Apache-2.0
// Policy auto: makes a seating of units and processes, has it solved, and tells which unit each process got.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include <sluice/pinning/distance.hpp>

#include "lanes.hpp"
#include "order.hpp"

namespace sluice::pinning {

// What processes say to each other. They are numbered: the workers through the stages, then the host.
class Talk {
 public:
  Talk(std::size_t workers, const std::vector<RequestedLane>& lanes);

  std::size_t host() const noexcept { return workers_; }
  double total() const noexcept { return total_; }
  bool host_talks() const noexcept { return host_talks_; }
  // Events a second between two processes, both ways.
  double between(std::size_t one, std::size_t other) const noexcept {
    return searched() ? with_[one * (workers_ + 1) + other] : 0;
  }
  // It takes memory by the square of the workers: beyond these nothing is known, and no place is searched for.
  static constexpr std::size_t kMostWorkers = 1024;
  bool searched() const noexcept { return workers_ <= kMostWorkers; }

 private:
  std::size_t workers_;
  std::vector<double> with_;  // A row for each process.
  double total_ = 0;
  bool host_talks_ = false;
};

// One thread of a process that wants a unit.
struct Seeker {
  std::size_t process = 0;
  double order = 0;  // Where it stands between the first and the last of its stage: 0 to 1.
};

struct Choice {
  Units units{};  // Of each seeker.
  std::optional<ProcessingUnit> host{};
  bool optimal = false;
};

struct ChoiceRequest {
  const Units& usable;
  const Units& held;                   // Somebody is at work there: their siblings are no free cores.
  const std::vector<Seeker>& seekers;  // Threads of one process stand together.
  const Talk& talk;
  const Distances& distances;
  // Where processes that have a place already are, by process; empty for the others.
  const std::vector<Units>& seated;
  bool seats_the_host = false;  // The host has no place of its own and wants a unit near those it feeds.
  // A group floats over all units that share package, node and L3 cache with its own.
  bool groups_float = false;
  std::uint64_t most_nodes = 0;
};

// As many units as seekers, or more, are usable.
Choice choose_units(const ChoiceRequest& request);

// Fewer units than seekers: each unit gets its share of them, those together that talk most.
Choice choose_groups(const ChoiceRequest& request);

}  // namespace sluice::pinning
