// SPDX-License-Identifier: Apache-2.0
// The spawner: makes the processes of the workers. It keeps one forked ahead, the standby, starts a worker
// from it or by a fork, and registers the process, which may touch its region from then on (newborn.hpp).
//
// Used by the master only. What it does on the way of a replacement stands in replacement.cpp, in the order
// in which it happens; the rest in spawner.cpp.
#pragma once

#include <chrono>
#include <functional>
#include <sys/types.h>
#include <utility>

#include <sluice/pinning/claims.hpp>
#include <sluice/pinning/place.hpp>

#include "layout/wiring.hpp"
#include "log/log_channel.hpp"
#include "master/child.hpp"
#include "master/epoll.hpp"
#include "master/lifeline.hpp"
#include "master/standby.hpp"
#include "observer/observer_socket.hpp"

namespace sluice::detail {

// After a standby has been used, so that the next one does not get in the way of the one that is needed.
inline constexpr std::chrono::nanoseconds kStandbyPause = std::chrono::microseconds{500};

class Spawner {
 public:
  // All must outlive it; `places` are those planned at the start. The newborn let go of the observer socket,
  // of the log and of the claim.
  Spawner(const Wiring& wiring, const Indexed<WorkerIndex, pinning::Place>& places, Lifeline& lifeline,
          ObserverSocket& observer_socket, LogChannel& log, pinning::HeldClaim& claim, const Epoll& epoll,
          Children& children) noexcept
      : wiring_{wiring},
        places_{places},
        lifeline_{lifeline},
        observer_socket_{observer_socket},
        log_{log},
        claim_{claim},
        epoll_{epoll},
        children_{children} {}

  // What else the newborn let go of, in them; before the first is made.
  void on_newborn(std::function<void()> let_go) { let_go_ = std::move(let_go); }

  // Makes the worker's process at once, or, when there is none to be had at the moment, has it made a little
  // later. Throws Error once there has been none for a long time.
  void start(WorkerIndex worker);
  // Starts the workers whose time has come (Child::start_at).
  void start_due();
  // Watches over a worker that this master has found, not made.
  void adopt(WorkerIndex worker, pid_t pid) { watch_over(worker, pid, Watched::not_yet); }

  // Forks the next standby if there is none and its time has come.
  void prepare_standby();
  // Its pidfd says that it is dead.
  void on_standby_death() noexcept;
  // It is not needed any more.
  void end_standby() noexcept { standby_.give_up(); }

  // When start_due() or prepare_standby() has something to do.
  std::chrono::nanoseconds next_due() const noexcept;

 private:
  enum class Watched { not_yet, as_standby };

  pid_t fork_worker(WorkerIndex worker);
  void watch_over(WorkerIndex worker, pid_t pid, Watched watched);
  void enter(const Child& child);
  // Whether its next life is one that is executed: there was one before.
  bool begins_anew(WorkerIndex worker) const noexcept;
  // In the process that is made.
  void let_go_of_the_masters() noexcept;
  void become_newborn() noexcept;
  [[noreturn]] void become_executed(WorkerIndex worker, bool bound) noexcept;
  [[noreturn]] void become_worker(WorkerIndex worker, bool bound) noexcept;

  const Wiring& wiring_;
  const Indexed<WorkerIndex, pinning::Place>& places_;
  Lifeline& lifeline_;
  ObserverSocket& observer_socket_;
  LogChannel& log_;
  pinning::HeldClaim& claim_;
  const Epoll& epoll_;
  Children& children_;
  std::function<void()> let_go_;
  Standby standby_;
  std::chrono::nanoseconds standby_due_{0};
  unsigned failed_forks_ = 0;  // In a row.
};

}  // namespace sluice::detail
