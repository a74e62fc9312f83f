// SPDX-License-Identifier: Apache-2.0
// Whether somebody has stopped (SIGSTOP) the master of a partition that is at work: no checkpoint is made then, so nothing of the
// partition goes out, and neither its processes nor other hosts would see a reason to do anything.
#pragma once

#include <chrono>
#include <optional>

#include <sluice/engine.hpp>

namespace sluice::detail {

// Called by the process of the partition.
class OwnMaster {
 public:
  // Throws Error if it has been stopped for kLongestSilence. Looks twice a second.
  void require_at_work(const Engine& engine);

 private:
  std::chrono::nanoseconds next_look_{};
  std::optional<std::chrono::nanoseconds> stopped_since_;
};

}  // namespace sluice::detail
