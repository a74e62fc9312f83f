// SPDX-License-Identifier: Apache-2.0
#include "worker/suspects.hpp"

#include <sluice/detail/progress.hpp>

namespace sluice::detail {

bool Suspects::cut() noexcept {
  const ProgressSeen seen = look_at(progress_);
  const std::optional<EventName> first = event_named(seen);
  if (!first || seen.span <= 1) return false;
  // relaxed: own words; the fences keep the compiler in order, for a process that replaces this one.
  constexpr auto kRelaxed = std::memory_order_relaxed;
  words_.most.store(0, kRelaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  words_.lane.store(first->lane, kRelaxed);
  words_.end.store(seen.span_end, kRelaxed);
  std::atomic_signal_fence(std::memory_order_seq_cst);
  words_.most.store(seen.span / 2, kRelaxed);
  return true;
}

}  // namespace sluice::detail
