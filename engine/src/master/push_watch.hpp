// SPDX-License-Identifier: Apache-2.0
// PushWatch: finds pushes of the host that wait for an outlet from which nobody pulls. Where that is the pushing thread's own the
// push says so (host/own_outlet.hpp); where the host has other threads nobody can know whether one of them will pull, so that a
// push may hang for ever. It is said once a wait.
//
// By the master only, at each look of the watchdog; a few loads for each inlet.
#pragma once

#include <chrono>
#include <optional>
#include <vector>

#include "master/news.hpp"
#include "ports/full_outlet.hpp"

namespace sluice::detail {

class PushWatch {
 public:
  // Both must outlive it.
  PushWatch(const Wiring& wiring, News& news);

  void look();

 private:
  struct Known {
    NodeIndex inlet;
    std::optional<FullOutlet> outlet{};  // That a push waits for,
    std::chrono::nanoseconds since{0};   // and since when as it is now.
    bool told = false;
  };
  std::optional<FullOutlet> outlet_of(NodeIndex inlet) const noexcept;
  std::chrono::nanoseconds worth_a_line(const FullOutlet& outlet) const noexcept;

  const Wiring& wiring_;
  News& news_;
  std::vector<Known> known_;
};

}  // namespace sluice::detail
