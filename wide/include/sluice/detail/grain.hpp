// SPDX-License-Identifier: Apache-2.0
// Grain: into how many parts a batch is divided, by what an event has taken until now.
//
// A value without a clock, used by one thread. To hand a part to another thread takes microseconds: a part should take much
// longer, and a batch that takes little is not divided at all.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace sluice::detail {

class Grain {
 public:
  explicit Grain(unsigned threads) noexcept : threads_{threads} {}

  // 1: one thread had better handle them all. Never more than there are events, nor than a few for each thread.
  std::size_t parts(std::uint64_t events) const noexcept {
    const double whole = each_ns_ * static_cast<double>(events);
    if (events < 2 || whole < 2 * kPartNs) return 1;
    const double most = std::min<double>(static_cast<double>(events), double{kPartsForEach} * threads_);
    return static_cast<std::size_t>(std::clamp(whole / kPartNs, 2.0, most));
  }
  // Whether an event was noted.
  bool known() const noexcept { return each_ns_ != 0; }
  // So many events have taken so long, of one thread's time.
  void note(std::uint64_t events, std::chrono::nanoseconds took) noexcept {
    if (events == 0) return;
    const double each = static_cast<double>(took.count()) / static_cast<double>(events);
    each_ns_ = each_ns_ == 0 ? each : each_ns_ + (each - each_ns_) / kMemory;
  }

 private:
  static constexpr double kPartNs = 20'000;
  static constexpr unsigned kPartsForEach =
      8;                                // So that a thread with quick events takes over from a slow one.
  static constexpr double kMemory = 8;  // Batches.

  unsigned threads_;
  double each_ns_ = 0;  // Of one event; 0: none was handled yet.
};

}  // namespace sluice::detail
