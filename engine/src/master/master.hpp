// SPDX-License-Identifier: Apache-2.0
// The master: starts the workers, watches them, replaces the dead and ends the stalled. It runs no user code,
// touches no event and, but for what fork() does, allocates nothing once all workers are started.
//
// Single-threaded, forked by the supervisor, so that it can fork a clean replacement at any time. This class
// is its event loop: it blocks in epoll on the pidfds of its workers, its host and its supervisor, on its
// doorbell, its stack dumpers and the observer socket, and calls the part that knows what to do:
//
//   Spawner        makes processes: the standby, newborns, their registration
//   ExitHandler    a worker's process has exited: autopsy, budget, replacement (replacement.cpp), report
//   StallHandler   every tick: observe, judge; a worker that stalls is captured and killed
//   PlaceKeeper    every half second: is each worker where it belongs
//   Observers      clients at the observer socket
//   Standstill     all workers stand still at their next commit, for a park or a checkpoint
//   Checkpoints    when one is due; the process that makes them
//
// It may be killed at any instruction. What it must not forget stands in its region: the pid and the identity
// of every worker, and whether it is done. The next master begins by looking for these processes, and watches
// over those that live (takeover.cpp); the rest begins anew: restart budgets, clocks, the standby.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <sys/types.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/pinning/claims.hpp>

#include "death/report_log.hpp"
#include "death/stack_dumper.hpp"
#include "layout/placement.hpp"
#include "layout/wiring.hpp"
#include "log/log.hpp"
#include "master/checkpoints.hpp"
#include "master/child.hpp"
#include "master/epoll.hpp"
#include "master/exit_handler.hpp"
#include "master/lifeline.hpp"
#include "master/memory_keeper.hpp"
#include "master/news.hpp"
#include "master/observers.hpp"
#include "master/place_keeper.hpp"
#include "master/push_watch.hpp"
#include "master/reaper.hpp"
#include "master/spawner.hpp"
#include "master/stall_handler.hpp"
#include "master/standstill.hpp"
#include "observer/observer_socket.hpp"

namespace sluice::detail {

// The reports of deaths, stalls and refused observers, a line of JSON each, in the directory `report.path`.
inline constexpr const char* kDeathsFile = "deaths.jsonl";

class Master {
 public:
  struct Parent {
    pid_t pid;
    const Descriptor& pidfd;
  };
  // What tells of the process that embeds the engine.
  struct HostWatch {
    int pidfd;  // It is dead.
    int line;   // It is dead, or has become another program: exec closes the line.
  };
  Master(const Wiring& wiring, const Placement& placement, Lifeline& lifeline,
         ObserverSocket& observer_socket, LogChannel& log, pinning::HeldClaim& claim,
         Descriptor& checkpoints_locked, const HostWatch& host, const Parent& supervisor);

  // To the end of the pipeline and of this process; or to the death of the supervisor, and then it returns:
  // this process has been the master for the longest time.
  void run();

 private:
  void prepare();
  void supervise();
  std::chrono::nanoseconds time_to_sleep() const noexcept;
  void handle(std::uint64_t event);
  void on_host_end();
  void finish_commits_of_host();
  void look_at_requests();
  void look_for_a_park();
  // Why no start finds what is being parked; empty if one does.
  std::string what_no_start_finds() const;
  // How a park begins: the workers are asked to stand still. Can be repeated.
  void park() noexcept;
  void drain() noexcept;
  // At the observer socket.
  void answer_observers();
  // How a master begins: takeover.cpp.
  void take_over();
  void introduce_itself();
  void adopt(WorkerIndex worker);
  // How the pipeline ends. `failure` is empty when it goes on.
  void end_if(const std::string& failure);
  void kill_all() noexcept;
  [[noreturn]] void end(RunState state, const std::string& message);

  const Wiring& wiring_;
  HostWatch host_;
  Parent supervisor_;
  bool supervisor_dead_ = false;
  Epoll epoll_;
  Children children_;
  Reaper reaper_;
  ReportLog report_log_;
  Log log_;
  News news_;
  StackDumper dumper_;
  Spawner spawner_;
  ExitHandler exits_;
  StallHandler stalls_;
  PushWatch pushes_;
  PlaceKeeper places_;
  MemoryKeeper memory_;
  Observers observers_;
  Standstill standstill_;
  Checkpoints checkpoints_;
};

}  // namespace sluice::detail
