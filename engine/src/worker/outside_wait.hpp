// SPDX-License-Identifier: Apache-2.0
// How a worker waits while the outside is away: sluice::Unavailable.
//
// Used by the worker process, which gives its loop up and makes a new one after each wait: as a replacement would, with
// the same recovery, and without a death.
#pragma once

#include <chrono>
#include <random>

#include "layout/wiring.hpp"

namespace sluice::detail {

class OutsideWait {
 public:
  OutsideWait(const Wiring& wiring, WorkerIndex worker);

  // Says what is away and since when, then waits: longer each time, up to a second. Throws Error once
  // outside.patience is over.
  void wait(const char* what);
  // It is there again.
  void over() noexcept;

 private:
  void say(const char* what, std::chrono::nanoseconds now) noexcept;

  const Wiring& wiring_;
  WorkerIndex worker_;
  ipc::Control& control_;
  std::chrono::nanoseconds pause_;
  bool away_;
  std::mt19937 random_{std::random_device{}()};
};

}  // namespace sluice::detail
