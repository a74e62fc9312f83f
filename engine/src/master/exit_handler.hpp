// SPDX-License-Identifier: Apache-2.0
// What happens when the process of a worker exits: the autopsy, the budget of restarts, the replacement or
// the end, the report.
//
// Used by the master only. The way to the replacement stands in replacement.cpp, in the order in which it
// happens; what there is beside it in exit_handler.cpp.
#pragma once

#include <csignal>
#include <cstddef>
#include <optional>
#include <random>
#include <string>

#include "death/memory_events.hpp"
#include "death/stack_dumper.hpp"
#include "layout/wiring.hpp"
#include "master/autopsy.hpp"
#include "master/child.hpp"
#include "master/epoll.hpp"
#include "master/news.hpp"
#include "master/reaper.hpp"
#include "master/spawner.hpp"

namespace sluice::detail {

class ExitHandler {
 public:
  // All must outlive it.
  ExitHandler(const Wiring& wiring, const Epoll& epoll, Children& children, Spawner& spawner, Reaper& reaper,
              const ReportLog& report_log, News& news, StackDumper& dumper)
      : wiring_{wiring},
        epoll_{epoll},
        children_{children},
        spawner_{spawner},
        reaper_{reaper},
        report_log_{report_log},
        news_{news},
        dumper_{dumper},
        running_{wiring.layout().worker_count()} {
    const RestartSettings& restart = wiring.settings().restart;
    for (const StageSettings& stage : wiring.settings().nodes) {
      std::optional<RestartBudget> budget;
      if (stage.crash_budget)
        budget.emplace(RestartPolicy{*stage.crash_budget, restart.crash_window, {}, {}, {}});
      crashes_.push_back(std::move(budget));
    }
  }

  // Workers that are not done yet.
  std::size_t running() const noexcept { return running_; }

  // The pidfd of the worker's process says that it is dead. Empty, or why the pipeline stops with it.
  std::string on_exit(WorkerIndex worker);
  // The worker that a former master left is dead, and reaped by the process whose child it was. As above.
  std::string on_exit_unseen(WorkerIndex worker);
  // Of the worker that a former master left: tells of a death that the master had dealt with and not told.
  void tell_untold(WorkerIndex worker);
  // Now and then, so that it is known when a process was killed for its memory.
  void look_at_memory_events() noexcept { memory_events_.look(monotonic_now()); }
  // The worker that a former master left is done.
  void count_as_done(WorkerIndex worker) noexcept {
    // relaxed: no process has this pid any more.
    wiring_.entry(worker).pid.store(0, std::memory_order_relaxed);
    --running_;
  }

 private:
  void withdraw(WorkerIndex worker, pid_t dead);
  std::string handle(WorkerIndex worker, const std::optional<WaitStatus>& status);
  std::string replace(WorkerIndex worker, const Autopsy& autopsy);
  std::optional<std::string> why_not_replaced(Child& child, const Autopsy& autopsy,
                                              std::chrono::nanoseconds& delay);
  void report(WorkerIndex worker, const Autopsy& autopsy);
  std::string give_up(WorkerIndex worker, const std::string& report);
  void shed(WorkerIndex worker);
  std::string budget_report(const Child& child, const Autopsy& autopsy) const;
  std::string letters_report(const Child& child, const Autopsy& autopsy) const;
  bool too_many_crashes(WorkerIndex worker, const Autopsy& autopsy) noexcept;
  std::string crashes_report(WorkerIndex worker, const Autopsy& autopsy) const;

  const Wiring& wiring_;
  const Epoll& epoll_;
  Children& children_;
  Spawner& spawner_;
  Reaper& reaper_;
  const ReportLog& report_log_;
  News& news_;
  StackDumper& dumper_;
  std::size_t running_;
  Indexed<NodeIndex, std::optional<RestartBudget>> crashes_;  // Of all workers of a stage.
  MemoryEvents memory_events_;
  std::mt19937_64 random_{std::random_device{}()};
};

}  // namespace sluice::detail
