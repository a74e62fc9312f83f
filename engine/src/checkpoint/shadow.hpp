// SPDX-License-Identifier: Apache-2.0
// The shadow: a private copy of a pipeline's segment that is whole at the instants at which all workers stand still, taken
// as a virtual machine is migrated: what has changed is copied while everything runs, and the little that changes
// meanwhile is copied again while all stand still.
//
// What has changed of a worker's state its page stamps tell (ipc/page_stamps.hpp). Of a ring only what lies between head and
// tail means anything, and does not change as long as it lies there: it is copied once. The rest is small, and compared.
//
// Two kinds of standstill, both with a new round behind them (MasterRegister::checkpoint_round):
//
//   end_round()   nothing is copied. What changed until now can be copied while the workers go on: whatever they change
//                 from now on carries the stamp of the new round.
//   take()        copies all that is missing. From here on the shadow is the segment as it is at this instant.
//
// An event that a worker is in the midst of may go on changing what it has noted before, and does not stamp that again: all
// that was stamped in the round counts as changed in the next one as well, for a worker whose undo log is not empty.
//
// A checkpoint that was restored has no stamps. So a page of state without one is as that checkpoint has it, and need not be
// saved again, nor copied before a whole checkpoint is wanted: what goes out first after a restore waits for a checkpoint, and must
// not wait until all of a large state is copied. The rest is small, and is saved.
//
// The host does not stand still. Each of its inlets and outlets commits by a record of its own, and is copied when it has a
// moment between two commits; what it has published lies in the ring before its tail says so.
//
// By one thread of a process that may read the segment and writes nothing.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint_store.hpp"
#include "checkpoint/page_set.hpp"
#include "layout/image.hpp"
#include "layout/wiring.hpp"

namespace sluice::detail {

class Shadow {
 public:
  // What the segment was when this life began: anything, or a checkpoint, which is saved then.
  enum class Begins { anew, restored };
  // It is behind with everything. Throws Error when there is no memory. `wiring` must outlive it; `shape` stands in front of
  // the image.
  Shadow(const Wiring& wiring, std::string_view shape, Begins begins = Begins::anew);
  ~Shadow();
  Shadow(const Shadow&) = delete;
  Shadow& operator=(const Shadow&) = delete;

  // Of the image.
  std::size_t bytes() const noexcept { return image_.bytes(); }

  // While everything runs: how many bytes of state have changed and are not copied; copies what changed in rounds that are over,
  // since what changes in this one is copied once it is over anyway; and copies what lies in the lanes.
  std::size_t bytes_behind() noexcept;
  void copy_state_ahead() noexcept;
  void copy_lanes_ahead() noexcept;

  // While everything runs: copies all that is as the restored checkpoint has it. Before that there is no everything().
  void copy_restored() noexcept;
  bool is_whole() const noexcept { return is_whole_; }
  // Of all that is not zero, lanes aside.
  std::size_t bytes_present() const noexcept;

  // While everything runs: so many bytes more of all that there is count as changed, from where the last call ended, the first one's
  // from the beginning. Whether these were the last: what was saved from the first call on holds everything then.
  void begin_renewal() noexcept { renewed_to_ = 0; }
  bool renew(std::size_t bytes) noexcept;

  // While all workers stand still, before the round that ends here is counted on.
  void end_round() noexcept;
  // False when the host did not come to a moment between two commits: nothing is taken then.
  bool take() noexcept;

  // Of the instant at which it was taken last: all that is not zero, of one that is whole; and what has changed since the last that was saved.
  // They hold until something is copied ahead.
  std::vector<Extent> everything() const;
  std::vector<Extent> changes() const;
  // What was taken last has been saved.
  void saved() noexcept;
  // Of what was taken last: up to where the lane is published.
  std::uint64_t tail(LaneIndex lane) const noexcept { return rings_[lane].tail; }
  // And eight bytes of the worker's state, which begin at a multiple of eight. Of a page that is as it was restored, and not copied,
  // they may be newer.
  std::uint64_t state_word(WorkerIndex worker, std::size_t offset) const noexcept;
  // And how many batches the worker has committed, and how many events an end of the host.
  std::uint64_t commits(WorkerIndex worker) const noexcept;
  std::uint64_t events(const EndLayout& end) const noexcept;

 private:
  struct Ring {
    std::uint64_t copied = 0;  // Positions before it are in the shadow, as far as they are needed.
    std::uint64_t head = 0;    // When it was taken.
    std::uint64_t tail = 0;
    std::uint64_t saved = 0;  // Positions before it were saved, or were not needed.
  };

  void add_all_but_state() noexcept;
  std::uint32_t round() const noexcept;
  std::size_t state_page(WorkerIndex worker) const noexcept;
  // What carries the stamp of the round that is not over yet counts as changed.
  void collect(WorkerIndex worker) noexcept;
  void copy_state(WorkerIndex worker) noexcept;
  void copy_untouched(std::size_t page) noexcept;
  void begin_with(WorkerIndex worker) noexcept;
  void copy_page(std::size_t page, const std::byte* from, bool as_restored) noexcept;
  void copy_compared(std::size_t offset, std::span<const std::byte> from) noexcept;
  void copy_worker(WorkerIndex worker) noexcept;
  bool copy_host() noexcept;
  bool copy_end(const EndLayout& end) noexcept;
  void copy_ring(LaneIndex lane, std::uint64_t head, std::uint64_t tail) noexcept;
  void take_rings() noexcept;
  // A cursor as a recovery will find it: the last commit of the one who owns it may not have stored it yet.
  std::uint64_t cursor(ProcessIndex process, const std::byte* commit, const std::byte* record,
                       std::uint64_t word) const noexcept;
  std::uint64_t cursor(ProcessIndex process, NodeIndex end, std::uint64_t word) const noexcept;
  std::vector<Extent> extents(const PageSet& pages, bool whole_rings) const;

  const Wiring& wiring_;
  bool restored_;
  bool is_whole_;
  ImageMap image_;
  std::byte* base_;
  PageSet present_;    // Of the image: what is not zero.
  PageSet changed_;    // Of the image: what is not saved.
  PageSet behind_;     // Of the image: pages of state whose copy is older than they are.
  PageSet untouched_;  // Of the image: pages of state that are as they were restored, and not copied.
  PageSet carried_;    // Those that an event may change that has stamped them in a round that is over.
  std::size_t renewed_to_ = 0;     // Pages before it count as changed since the renewal has begun.
  std::vector<bool> in_an_event_;  // By worker, at the end of the last round.
  Indexed<LaneIndex, Ring> rings_;
};

}  // namespace sluice::detail
