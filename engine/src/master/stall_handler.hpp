// SPDX-License-Identifier: Apache-2.0
// What happens when a worker stalls: every tick of the watchdog the master observes all workers, judges them,
// has the stacks of a stalled one captured, and kills it in the event that it stalls in.
//
// Used by the master only. observe.cpp measures, watchdog.cpp judges, the stack dumper captures; the killing
// is done here, by the master alone. A death by it is handled like any other (replacement.cpp).
#pragma once

#include <chrono>
#include <cstdint>

#include "death/stack_dumper.hpp"
#include "layout/wiring.hpp"
#include "master/child.hpp"
#include "master/news.hpp"

namespace sluice::detail {

class StallHandler {
 public:
  // All must outlive it.
  StallHandler(const Wiring& wiring, Children& children, const ReportLog& report_log, News& news,
               StackDumper& dumper) noexcept
      : wiring_{wiring},
        children_{children},
        report_log_{report_log},
        news_{news},
        dumper_{dumper},
        tick_{wiring.settings().watchdog_tick} {}

  // Once `children` are there: how often to look follows from their deadlines.
  void set_ticks() noexcept;
  // The first look comes a tick from now.
  void begin() noexcept {
    last_look_ = monotonic_now();
    next_look_ = last_look_ + tick_;
  }

  std::chrono::nanoseconds next_look() const noexcept { return next_look_; }
  void look_at_workers();
  // Something has happened to a dump.
  void on_dumper_event() noexcept;

 private:
  void account(Child& child, std::chrono::nanoseconds passed) noexcept;
  void note(Child& child, Verdict verdict);
  void let_go_if_traced_by_us(Child& child);
  void report_wait(Child& child);
  void schedule_kill(Child& child);
  bool kill(Child& child) noexcept;
  void cancel_kill(Child& child) noexcept;
  Child* to_be_killed(pid_t pid) noexcept;

  const Wiring& wiring_;
  Children& children_;
  const ReportLog& report_log_;
  News& news_;
  StackDumper& dumper_;
  std::chrono::nanoseconds tick_;
  std::chrono::nanoseconds idle_tick_{std::chrono::nanoseconds::max()};  // While all workers are idle.
  std::chrono::nanoseconds last_look_{0};
  std::chrono::nanoseconds next_look_{0};
};

}  // namespace sluice::detail
