// SPDX-License-Identifier: Apache-2.0
// What the master says in the log, and in which words: all lines but those of the supervisor stand here.
//
// The reports (death/report_log.hpp) have the same with all that is known; the log has what a person wants to know at
// once. By the master only; does not block.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "layout/wiring.hpp"
#include "log/log.hpp"
#include "master/autopsy.hpp"
#include "master/child.hpp"

namespace sluice::detail {

class News {
 public:
  // Both must outlive it.
  News(const Wiring& wiring, Log& log);

  // Once a start: what of the pipeline leads nowhere.
  void began();
  // This master has taken over from one that has died; it found `living` workers.
  void took_over(std::size_t living);
  // After it was decided what becomes of the worker; `failure` is why the pipeline stops, or empty.
  void died(const Child& child, const Autopsy& autopsy, std::string_view failure);
  // The same for a death that a former master has dealt with, which died before it could say so.
  void died_untold(WorkerIndex worker, const Death& death);
  void stalled(const Child& child);
  // A process that only helps has died, and what becomes of it.
  void helper_died(std::string_view what);
  void starves(const Child& child);
  // At each look: whether the worker was found stopped though it has something to do. Nobody ends it, so that a stop that
  // lasts is said.
  void stopped(const Child& child, bool is);
  // A push of the host waits since `time` for an outlet that is full, and nothing was pulled from that meanwhile.
  void push_waits(NodeIndex inlet, NodeIndex outlet, std::chrono::nanoseconds time);
  void waits_outside(const Child& child, std::string_view text, bool draining);
  // A process was found on other units than its place's, and what was done about it: "put back", "refused" with the reason,
  // "units are gone", "planned anew".
  struct Displaced {
    std::string_view units;
    std::string_view found;
    std::string_view did;
    std::string_view why;  // Empty unless the kernel refused.
  };
  void displaced(std::string_view name, const Displaced& what);
  // The units have changed, and there is no plan for those that there are: places stay as they are.
  void not_planned(std::string_view units, std::string_view why);
  // Memory that was on another node than its reader's is brought there; or why not: an errno value.
  void pages_moved(int error);
  // How the segment's pages came out, where something was asked for.
  void memory();
  void checkpoint_written(std::uint64_t number, std::uint64_t bytes, std::uint64_t raw_bytes, bool first);
  // One was put off or could not be written: the first in a row at once, and then from time to time.
  // `failing`: for so long there has been none. `something_waits` for one, and so does what comes behind it.
  void checkpoint_failed(std::string_view why, std::chrono::nanoseconds failing, bool something_waits);
  // No observers' socket could be made.
  void not_observed(std::string_view why);
  void observer_refused(std::uint32_t uid, std::int32_t pid, std::uint64_t refused);
  // At each look of the watchdog: what workers and reports say by counters alone; the `last` time, all of it.
  void look(bool last = false);
  void ended(RunState state, std::string_view message);

 private:
  bool say(LogLevel level, std::string_view kind, WorkerIndex worker, std::string_view text);
  void look_at_letters(bool all);
  void look_at_lost_reports();
  void look_who_is_back();
  std::string what_happened() const;
  std::string what_was_lost() const;
  std::string budget_warning(const Child& child);

  struct Known {
    std::uint64_t letters = 0;
    std::chrono::nanoseconds next_letters{0};  // When the next of them are said: those of a second together.
    bool waits = false;
    std::chrono::nanoseconds next_starved{0};   // When that may be said again.
    std::chrono::nanoseconds stopped_since{0};  // 0: it is not.
    bool stop_told = false;
    std::size_t deaths_left = SIZE_MAX;  // Of its budget, at the last look.
  };

  const Wiring& wiring_;
  Log& log_;
  Indexed<WorkerIndex, Known> known_;
  std::uint64_t lost_reports_ = 0;
  std::uint64_t stalls_ = 0;              // That this master has seen.
  std::uint64_t failed_checkpoints_ = 0;  // In a row.
  std::chrono::nanoseconds next_checkpoint_line_{0};
};

}  // namespace sluice::detail
