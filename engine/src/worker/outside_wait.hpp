// SPDX-License-Identifier: Apache-2.0
// How a worker waits while the outside is away: sluice::Unavailable.
//
// Used by the worker process, which gives its loop up and makes a new one after each wait: as a replacement would, with
// the same recovery, and without a death.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>

#include <sluice/unavailable.hpp>

#include "layout/wiring.hpp"

namespace sluice::detail {

class OutsideWait {
 public:
  OutsideWait(const Wiring& wiring, WorkerIndex worker);

  // Says what is away and since when, then waits: longer each time that has brought nothing, up to a second. Throws
  // Error once outside.patience is over.
  void wait(const Unavailable& away);
  // It is there again.
  void over() noexcept;

  // A flush of many events may take longer than the outside allows for one call, and a batch that is undone as a whole may need
  // more calls than it allows at a time, each time it is tried: after each that found nobody there a batch has half as many,
  // down to one, and then one more after each step that has worked.
  std::uint64_t most_in_batch() const noexcept { return most_in_batch_; }
  // So many events are to be done again, by the step that found nobody there.
  void undid(std::uint64_t events) noexcept {
    if (events > 1) most_in_batch_ = std::max<std::uint64_t>(std::min(most_in_batch_, events) / 2, 1);
  }
  // Whether there is such a bound.
  bool worked() noexcept {
    over();
    if (most_in_batch_ == kAny) return false;
    ++most_in_batch_;
    return true;
  }

 private:
  static constexpr std::uint64_t kAny = std::numeric_limits<std::uint64_t>::max();

  void say(const char* what, std::chrono::nanoseconds now) noexcept;

  const Wiring& wiring_;
  WorkerIndex worker_;
  ipc::Control& control_;
  std::chrono::nanoseconds pause_;
  bool away_;
  std::uint64_t most_in_batch_ = kAny;
  std::uint64_t reached_ = 0;  // The most that an Unavailable has said.
};

}  // namespace sluice::detail
