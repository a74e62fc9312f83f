// SPDX-License-Identifier: Apache-2.0
// LaneScheduler: which of its input lanes a worker looks at in a batch.
//
// A look at an empty lane reads a line that its producer writes. With few lanes that is nothing; with
// hundreds it would cost more than the events. So lanes that have had something lately are looked at in every
// batch, of the others a few in turn. Bounds: with N lanes every lane is looked at once in N / kSlice
// batches, and in each batch that finds nothing else; a lane that had something stays among the first for
// kMemory looks.
//
// Used by the worker loop. No allocation after construction.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::detail {

class LaneScheduler {
 public:
  static constexpr std::size_t kFew = 16;   // So many are all looked at in every batch.
  static constexpr std::size_t kSlice = 8;  // Of the quiet ones, a batch.
  static constexpr std::uint8_t kMemory = 64;

  explicit LaneScheduler(std::size_t lanes = 0) : heat_(lanes, 0) { busy_.reserve(lanes); }

  // One batch: `look(lane)` says whether the lane had something, `enough()` ends the round. The quiet lanes
  // come first, or busy ones could fill every batch; the busy ones begin with another one each time.
  template <class Look, class Enough>
  void round(Look&& look, Enough&& enough) {
    const std::size_t count = heat_.size();
    if (count <= kFew) {
      if (count == 0) return;
      first_ = first_ + 1 < count ? first_ + 1 : 0;
      std::size_t lane = first_;
      for (std::size_t i = 0; i < count && !enough(); ++i) {
        look(lane);
        lane = lane + 1 < count ? lane + 1 : 0;
      }
      return;
    }
    const std::size_t busy = busy_.size();
    for (std::size_t i = 0; i < kSlice && !enough(); ++i) {
      next_quiet_ = next_quiet_ + 1 < count ? next_quiet_ + 1 : 0;
      if (heat_[next_quiet_] == 0 && look(next_quiet_)) notice(next_quiet_);
    }
    look_at_busy(busy, look, enough);
  }

  // After a round: the lanes that it has left out because they are quiet.
  template <class Look, class Enough>
  void rest(Look&& look, Enough&& enough) {
    if (heat_.size() <= kFew) return;
    for (std::size_t lane = 0; lane < heat_.size() && !enough(); ++lane) {
      if (heat_[lane] == 0 && look(lane)) notice(lane);
    }
  }

  // The lane has something: it is looked at in the next batch.
  void notice(std::size_t lane) {
    if (heat_[lane] == 0) busy_.push_back(lane);
    heat_[lane] = kMemory;
  }
  const std::vector<std::size_t>& busy() const noexcept { return busy_; }

 private:
  template <class Look, class Enough>
  void look_at_busy(std::size_t busy, Look&& look, Enough&& enough) {
    if (busy == 0) return;
    first_ = first_ + 1 < busy ? first_ + 1 : 0;
    bool forgotten = false;
    for (std::size_t i = 0; i < busy && !enough(); ++i) {
      const std::size_t lane = busy_[first_ + i < busy ? first_ + i : first_ + i - busy];
      heat_[lane] = look(lane) ? kMemory : static_cast<std::uint8_t>(heat_[lane] - 1);
      forgotten = forgotten || heat_[lane] == 0;
    }
    if (forgotten) std::erase_if(busy_, [this](std::size_t lane) { return heat_[lane] == 0; });
  }

  std::vector<std::uint8_t> heat_;  // Looks until the lane is quiet; 0: it is.
  std::vector<std::size_t> busy_;
  std::size_t first_ = 0;  // In the last round.
  std::size_t next_quiet_ = 0;
};

}  // namespace sluice::detail
