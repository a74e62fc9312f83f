// SPDX-License-Identifier: Apache-2.0
// The supervisor: the process between the host and the master, which forks a master, waits for its death, and
// forks the next one. It maps the segment read-only, and knows nothing of workers.
//
// A master whose supervisor has died becomes the supervisor itself, and forks a master. So the two are a pair
// of which either may be killed at any instant, and the other makes it whole again:
//
//     supervisor S     master M                    then
//     waits for M      *SIGKILL*                   S reaps M: confirmed; forks M2, which takes over
//     *SIGKILL*        sees S's pidfd, ceases to   M is the supervisor now; forks M2, which takes over
//                      act, forks M2
//     *SIGKILL*        *SIGKILL*                   neither is left: the lifeline is cut, the kernel kills the
//                                                  workers, and the host reports it
//
// There are never two masters. A master is forked by a supervisor alone, which has no other: it has reaped
// the last one, or was itself the last one and acts as none any more. There are never two supervisors: only
// the master becomes one, and only when the pidfd of its own supervisor, which it inherited, has said that it
// is dead. No window is open between a fork and the knowledge of it: what a process is follows from what
// it forked or was forked by, and not from what is written anywhere.
//
// The supervisor adopts the workers of a dead master (PR_SET_CHILD_SUBREAPER) and reaps them when they die.
// That is safe at any time: no process acts on a pid alone, but on a pid and an identity (descriptor.hpp).
#pragma once

#include <sluice/pinning/claims.hpp>

#include "layout/placement.hpp"
#include "layout/wiring.hpp"
#include "log/log_channel.hpp"
#include "master/lifeline.hpp"
#include "observer/observer_socket.hpp"

namespace sluice::detail {

// How a supervisor ends that could not go on, for the host.
inline constexpr int kExitNoMaster = 72;      // No process could be forked.
inline constexpr int kExitMastersCrash = 73;  // One master after the other crashed.

// What a supervisor and all masters have in common; they inherit it by fork.
struct Command {
  const Wiring& wiring;
  const Placement& placement;
  Lifeline& lifeline;
  ObserverSocket& observer_socket;
  LogChannel& log;
  pinning::HeldClaim& claim;
  Descriptor& checkpoints_locked;
  int host;             // The pidfd of the process that embeds the engine.
  Lifeline& host_line;  // Held by that process.
};

// In the process that the host has just forked. noexcept: an exception must not get back into a second copy
// of the host's program.
[[noreturn]] void run_supervisor(const Command& command) noexcept;

}  // namespace sluice::detail
