// SPDX-License-Identifier: Apache-2.0
// TimerSource: an event at each of the times that an interval makes, never two for one of them, whatever dies.
//
//     auto ticks = pipeline.source<sluice::TimerSource>("tick", sluice::TimerOptions{.interval = 1s});
//
// The times are those of the system's clock: the first start, and every interval from there. They stand in recoverable
// state, so that a replacement and a resume (segment.path) go on with the same ones. Times that pass while there is no worker, or
// while the stages behind have no room, are told by the next tick (`missed`), or are ticks of their own with `every`. When
// the clock is set back, the next tick waits for its time; when it is set forward, or the machine was asleep, what is due by
// then comes within a second.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>

#include <sluice/connect/detail/wall_clock.hpp>
#include <sluice/error.hpp>
#include <sluice/handler.hpp>
#include <sluice/output.hpp>
#include <sluice/worker.hpp>

namespace sluice {

struct Tick {                // What a timer says when it is time.
  std::uint64_t number = 0;  // Of its time, from 0. Grows by 1 and by what was missed.
  std::int64_t due_ns = 0;   // Since 1970, as std::chrono::system_clock counts.
  std::uint64_t missed = 0;  // Times between this tick and the last one.
};

struct TimerOptions {
  std::chrono::nanoseconds interval = std::chrono::seconds{1};  // At least 1 ms.
  bool every = false;                                           // Each time has a tick, however late.
};

class TimerSource {
 public:
  // Throws Error for an interval that is too short, and when the stage has several workers: each would have its ticks.
  TimerSource(Worker& worker, const TimerOptions& options)
      : worker_{worker},
        options_{options},
        state_{worker.state<State>("timer", State{0, detail::wall_clock_ns()})} {
    if (options_.interval < std::chrono::milliseconds{1})
      throw Error{{"tick", worker.stage(), "an interval is 1 ms at least", "raise it"}};
    if (worker.replicas() != 1)
      throw Error{
          {"tick", worker.stage(), "each of several workers would tick", "give the stage one worker"}};
    worker.declare_endless();
  }

  SourceState operator()(Output<Tick>& out) {
    const std::int64_t wait_ns = due_ns(state_->next) - detail::wall_clock_ns();
    if (wait_ns > 0) {
      // In pieces: the clock may be set, or go on while the machine sleeps, and a wait does not see that.
      constexpr std::chrono::nanoseconds kPiece = std::chrono::seconds{1};
      worker_.wait_for(std::min(std::chrono::nanoseconds{wait_ns}, kPiece));
      // A drain ends the wait, too.
      if (due_ns(state_->next) > detail::wall_clock_ns()) return SourceState::nothing_now;
    }
    Tick tick;
    tick.number = state_->next;
    if (!options_.every) {
      const std::int64_t late_ns = detail::wall_clock_ns() - due_ns(tick.number);
      if (late_ns > 0) tick.missed = static_cast<std::uint64_t>(late_ns / options_.interval.count());
      tick.number += tick.missed;
    }
    tick.due_ns = due_ns(tick.number);
    out.push(tick);
    state_.edit(&State::next) = tick.number + 1;
    return SourceState::more;
  }

 private:
  struct State {
    std::uint64_t next;
    std::int64_t first_ns;
  };

  // What no clock comes to is never due.
  std::int64_t due_ns(std::uint64_t number) const noexcept {
    std::int64_t since_first = 0;
    std::int64_t due = 0;
    if (__builtin_mul_overflow(number, options_.interval.count(), &since_first) ||
        __builtin_add_overflow(state_->first_ns, since_first, &due))
      return std::numeric_limits<std::int64_t>::max();
    return due;
  }

  Worker& worker_;
  TimerOptions options_;
  Recoverable<State> state_;
};

}  // namespace sluice
