// SPDX-License-Identifier: Apache-2.0
// Suspects: how a span that its handler cannot bear is cut in halves until one event is left.
//
// A death in a span says nothing about which of its events is at fault. So it is blamed on none of them: the replacement
// hands out spans of half as many at most until all events of that span are done, each in a batch of its own, so that the
// halves that are sound take effect at once. With each further death the number is halved. In a span of one event the
// death is that event's, and counts as an attempt (poison.hpp). A span that does not fit, or that the outside refuses as a
// whole, is cut in the same way, without a death.
//
// What is known stands in the worker's region: a kill from outside in the midst of it costs nothing but time. Used by the
// worker's one thread.
#pragma once

#include <atomic>
#include <cstdint>

#include <sluice/ipc/control.hpp>

namespace sluice::detail {

class Suspects {
 public:
  explicit Suspects(ipc::Control& control) noexcept : words_{control.suspects}, progress_{control.progress} {}

  // The span in the handler did not come off: that of this process, or, before it has a loop, of a predecessor that has
  // died of its own doing. False if it is of one event, or there is none.
  bool cut() noexcept;

  // relaxed: own words.
  bool any() const noexcept { return most() != 0; }
  std::uint32_t most() const noexcept { return words_.most.load(std::memory_order_relaxed); }
  std::uint32_t lane() const noexcept { return words_.lane.load(std::memory_order_relaxed); }
  std::uint64_t end() const noexcept { return words_.end.load(std::memory_order_relaxed); }
  // All of them are done, or there is no such lane.
  void clear() noexcept { words_.most.store(0, std::memory_order_relaxed); }

 private:
  ipc::Suspects& words_;
  const ipc::Progress& progress_;
};

}  // namespace sluice::detail
