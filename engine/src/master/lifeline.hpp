// SPDX-License-Identifier: Apache-2.0
// The lifeline: a pipe whose writing end the supervisor and the master hold, and no other process. When the
// last of them dies, whichever way, the kernel closes it, and that is the one sure sign that no process is
// left that could replace another: it needs no pid, and no fork can slip past it, since a fork inherits the
// end.
//
//   host      holds the reading end and looks at it: abandoned pipelines are an error, not a wait.
//   workers   are bound to it: the kernel itself kills a bound process at the instant the writing end closes,
//             also one that hangs in its handler or is stopped. So no worker can outlive the pipeline.
//
// The host has a line of its own, the other way round: it holds the writing end, and the supervisor and the
// masters look at the reading end. The kernel closes it when the host dies, and when the host calls exec.
#pragma once

#include <chrono>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

class Lifeline {
 public:
  Lifeline();  // Throws Error when the process has no descriptor left.

  // Who looks at it, and holds it not: keeps the reading end alone. The host does so once the supervisor is
  // forked.
  void let_go() noexcept { writing_.reset(); }
  // Worker or standby, right after the fork: lets go, and is killed by the kernel once no process holds the
  // end. False when that cannot be had (no /proc): then the caller must die with its parent instead.
  bool bind_this_process() noexcept;

  // Who holds it, and does not look at it.
  void hold() noexcept { reading_.reset(); }
  // For epoll: it hangs up when the line is cut.
  int fd() const noexcept { return reading_.get(); }
  // The other end, for a process that closes all but what it knows; negative once it has let go.
  int writing_end() const noexcept { return writing_.get(); }

  // No process holds it any more: neither supervisor nor master is left.
  bool cut() const noexcept;
  // This process has closed it without knowing, as what closes all descriptors does: it cannot be looked at any more.
  bool closed_here() const noexcept;
  // Waits until it is cut, not longer than `limit`; whether it is.
  bool await_cut(std::chrono::milliseconds limit) const noexcept;

 private:
  Descriptor reading_;
  Descriptor writing_;
};

}  // namespace sluice::detail
