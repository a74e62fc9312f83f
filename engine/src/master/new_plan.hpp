// SPDX-License-Identifier: Apache-2.0
// A new plan for a pipeline that runs, made by a short-lived fork of the master: planning allocates and takes its time,
// and the master does neither.
//
// The fork writes the places into memory that both have, and ends; the master looks whether it has. It dies with the
// master.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <sys/types.h>

#include <sluice/pinning/masks.hpp>

#include "layout/placement.hpp"

namespace sluice::detail {

class NewPlan {
 public:
  struct Entry {
    pinning::Mask units;
    std::int32_t numa_node;
    std::uint32_t shared;
  };

  // `placement` must outlive it. Throws Error when there is no memory for the answer.
  explicit NewPlan(const Placement& placement);
  ~NewPlan();
  NewPlan(const NewPlan&) = delete;
  NewPlan& operator=(const NewPlan&) = delete;

  bool under_way() const noexcept { return pid_ != 0; }
  const pinning::Mask& units() const noexcept { return units_; }
  // Begins; false if no process was to be had. One that takes longer than `limit` is ended.
  bool begin(const pinning::Mask& units, std::chrono::nanoseconds limit) noexcept;
  // The master's place, then the workers'; empty while it is under way, and when it has failed: then it is over.
  std::span<const Entry> result() noexcept;
  // Whether the last one was ended before it was done: it may have lacked nothing but time.
  bool was_ended() const noexcept { return was_ended_; }

 private:
  void plan() const;

  const Placement& placement_;
  std::span<Entry> answer_;
  pinning::Mask units_{};
  pid_t pid_ = 0;
  std::chrono::nanoseconds until_{0};
  bool was_ended_ = false;
};

}  // namespace sluice::detail
