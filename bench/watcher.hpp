// SPDX-License-Identifier: Apache-2.0
// Watcher: the receiver of the benchmarks of bare lanes, which look at one lane again and again and at no other.
//
// Two things make a bare lane faster than looking at once; a worker does the first, behind the commit of its batch:
//   A look takes the line of the tail away from the producer, which then waits for it with every event that it
//   publishes. When the last look found more than one event, they come in a stream: the watcher lets some more of
//   them come first, for kGatherRelaxes (0.1 us). An event that comes alone is never made to wait.
//   While there is nothing it asks for the next slot too, which then does not come after the tail, but with it.
#pragma once

#include <cstdint>

#include <sluice/ipc/lane.hpp>
#include <sluice/ipc/relax.hpp>

namespace sluice::bench {

inline constexpr int kGatherRelaxes = 8;

class Watcher {
 public:
  explicit Watcher(const ipc::LaneMemory& memory) noexcept : lane_{memory}, looked_at_{lane_.next()} {}

  // Bytes that can be read; the events have `event_bytes` or more.
  std::uint64_t watch(std::uint64_t event_bytes) noexcept {
    if (seen_ != 0) return seen_;
    if (lane_.next() - looked_at_ > event_bytes) {
      for (int i = 0; i < kGatherRelaxes; ++i)
        ipc::relax();
    }
    looked_at_ = lane_.next();
    seen_ = lane_.readable();
    if (seen_ == 0) __builtin_prefetch(lane_.data());
    return seen_;
  }
  void advance(std::uint64_t bytes) noexcept {
    lane_.advance(bytes);
    seen_ -= bytes;
  }
  void publish() noexcept { lane_.publish(); }
  const std::byte* data() const noexcept { return lane_.data(); }
  ipc::LaneConsumer& lane() noexcept { return lane_; }

 private:
  ipc::LaneConsumer lane_;
  std::uint64_t looked_at_;  // Where the last look was made.
  std::uint64_t seen_ = 0;   // Of what that look found, what is not read yet.
};

}  // namespace sluice::bench
