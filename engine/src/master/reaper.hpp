// SPDX-License-Identifier: Apache-2.0
// The master's dead children: reaped, but never waited for.
//
// A debugger that holds a process keeps it from its parent even when it is dead, for as long as it likes.
// A worker need not be reaped to be replaced: the pidfd has said that it is dead.
#pragma once

#include <csignal>
#include <optional>
#include <vector>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

class Reaper {
 public:
  // How the dead process behind `pidfd` ended; nothing if it is not to be had: it is no child of this
  // process, or a debugger holds it. Waits for a few milliseconds at most. It is not reaped yet.
  static std::optional<siginfo_t> status_of(const Descriptor& pidfd) noexcept;
  // At once, or, if a debugger holds it, later, by reap_late().
  void reap(Descriptor pidfd);
  void reap_late() noexcept;

 private:
  std::vector<Descriptor> held_;
};

}  // namespace sluice::detail
