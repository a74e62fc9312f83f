// SPDX-License-Identifier: Apache-2.0
// InputPort: all lanes that one worker, or one outlet of the host, consumes: what there is to read, which
// lanes have ended, what the next commit says of them, and whom it wakes.
//
// Used by one thread: the worker's, or the one that uses the outlet. What the other side wrote is not
// trusted: a lane whose cursors or lengths are out of range is refused with an Error that names its producer.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <sluice/ipc/commit.hpp>
#include <sluice/ipc/control.hpp>
#include <sluice/ipc/doorbell.hpp>
#include <sluice/ipc/lane.hpp>

#include "layout/wiring.hpp"

namespace sluice::detail {

// The consuming end of one lane, with what its owner needs around it.
struct InLane {
  ipc::LaneConsumer lane;
  std::uint64_t word = 0;  // Of head in the region's cursor area.
  const ipc::Control* producer = nullptr;
  const ipc::Doorbell* bell = nullptr;
  ProcessIndex from{};                               // Produces it.
  const std::atomic<std::uint32_t>* shed = nullptr;  // Of its producer, as in OutLane.
  bool ended = false;                                // Nothing follows, and all of it is consumed.
  bool touched = false;
  const LaneStamps* stamps = nullptr;  // nullptr: none of its events is timed.
  std::uint64_t event_bytes = 0;       // 0: records.

  // Whether an event of what is readable may be timed.
  bool comes_to_stamp() const noexcept { return stamps != nullptr && stamps->any_from(lane.next()); }
  // relaxed: seen late, it costs a look more.
  bool is_shed() const noexcept { return shed != nullptr && shed->load(std::memory_order_relaxed) != 0; }
  // Its producer is shed, and everything that it had published is read: nothing follows.
  bool producer_is_shed() noexcept {
    // [entry.shed] acquire: all that it had published; pairs with ExitHandler::shed().
    return shed != nullptr && shed->load(std::memory_order_acquire) != 0 && lane.readable() == 0 &&
           !lane.at_stop() && !lane.held_back();
  }
  // The host is dead, and everything that it had published is read.
  bool host_has_said_all(bool host_is_gone) noexcept {
    return host_is_gone && from == kHostProcess && lane.readable() == 0 && !lane.at_stop() &&
           !lane.held_back();
  }
};

class InputPort {
 public:
  // The lanes of `process` that carry events to `node`.
  InputPort(const Wiring& wiring, ProcessIndex process, NodeIndex node);
  InputPort(const InputPort&) = delete;
  InputPort& operator=(const InputPort&) = delete;

  std::size_t size() const noexcept { return lanes_.size(); }
  InLane& operator[](std::size_t index) noexcept { return lanes_[index]; }
  const InLane& operator[](std::size_t index) const noexcept { return lanes_[index]; }
  std::vector<InLane>& lanes() noexcept { return lanes_; }
  bool all_ended() const noexcept { return ended_ == lanes_.size(); }

  // There is something to do about it: an event, a stop, an end that is not noted yet, a fault.
  // `host_is_gone`: host_gone() of control_plane.hpp.
  bool ready(InLane& in, bool host_is_gone) const noexcept {
    return !in.ended &&
           (in.lane.readable() != 0 || in.lane.at_stop() || in.lane.at_end() || in.lane.corrupt() ||
            (host_is_gone && in.from == kHostProcess) || in.producer_is_shed());
  }
  // Notes that the lane has ended: its producer has said so, or no process is left that could publish more.
  // True when that is news. It needs no commit: a successor sees it again. `host_is_gone` was asked before
  // this call. The lane was looked at (readable()); only if the host is gone is it looked at again.
  bool note_end(InLane& in, bool host_is_gone) noexcept {
    if (in.ended) return false;
    if (!in.lane.at_end() && !in.host_has_said_all(host_is_gone) && !in.producer_is_shed()) [[likely]]
      return false;
    in.ended = true;
    ++ended_;
    return true;
  }
  // The lane is corrupt. `reader`: what reads it, for the message.
  [[noreturn]] void refuse(const InLane& in, const std::string& reader) const;

  // Events of it were consumed, or are about to be: the next commit moves its head.
  void touch(InLane& in) noexcept {
    if (in.touched) return;
    in.touched = true;
    touched_[touched_count_++] = &in;  // There is a place for every lane.
  }
  bool touched() const noexcept { return touched_count_ != 0; }
  // For who stores the commit of the only lane himself: that is done.
  void forget_touched(InLane& only) noexcept {
    only.touched = false;
    touched_count_ = 0;
  }

  // Which words the next commit moves.
  void record(ipc::Commit& commit) const noexcept {
    // One read each: a wide one, of words that have just been stored apart, waits for those stores.
    for (const InLane* in : touched_lanes())
      commit.move(ipc::read_once(in->word), in->lane.next());
  }
  // After the commit: wakes the producers that sleep; how many. `whole`: nothing of what was touched goes on.
  std::uint64_t ring(ipc::Published& published, bool whole) noexcept {
    std::uint64_t rings = 0;
    for (InLane* in : touched_lanes()) {
      if (published.sleeps(*in->producer)) {
        in->bell->ring();
        ++rings;
      }
      in->touched = !whole;  // The event in the handler came from one of them.
    }
    if (whole) touched_count_ = 0;
    return rings;
  }
  // The same of a lane whose head was moved by itself.
  static void ring(const InLane& in) noexcept {
    ipc::Published published;
    if (published.sleeps(*in.producer)) [[unlikely]]
      in.bell->ring();
  }
  // Gives back what was read since the last commit.
  void take_all_back() noexcept {
    for (InLane* in : touched_lanes()) {
      in->lane.resume();
      in->touched = false;
    }
    touched_count_ = 0;
  }
  // Wakes all of them: a predecessor may have died between publishing and ringing.
  void ring_all() const noexcept;

 private:
  std::span<InLane* const> touched_lanes() const noexcept { return {touched_.data(), touched_count_}; }

  const Wiring& wiring_;
  std::vector<InLane> lanes_;
  std::vector<InLane*> touched_;   // The first ones of them,
  std::size_t touched_count_ = 0;  // so many.
  std::size_t ended_ = 0;
};

}  // namespace sluice::detail
