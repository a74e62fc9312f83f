// SPDX-License-Identifier: Apache-2.0
// Whether a worker still hears its bell. A handler that closes what it has not opened (closefrom) closes the bell, and with
// it the line by which the kernel ends a worker that nobody is left for: such a worker would spin, and stay.
#pragma once

#include <cerrno>
#include <fcntl.h>
#include <unistd.h>

#include <sluice/error.hpp>

#include "layout/wiring.hpp"

namespace sluice::detail {

// In the worker's process, once its handler is made and after a wait that has brought nothing. Throws Error if the bell is closed, or
// bells cannot be rung from here.
inline void check_own_bell(const Wiring& wiring, WorkerIndex worker) {
  const int bell = wiring.bell(worker).fd();
  // A filter that denies the call says nothing of the bell.
  if (::fcntl(bell, F_GETFD) < 0 && errno == EBADF) {
    throw Error{{"go on with", wiring.name(worker),
                 "its handler has closed descriptors of the pipeline (closefrom or close_range, most likely)",
                 "let the handler close what it has opened, and nothing else"}};
  }
  // Too short to ring it, for which it is refused with EINVAL.
  constexpr char kNoRing = 0;
  if (::write(bell, &kNoRing, sizeof(kNoRing)) >= 0 || errno == EINVAL || errno == EINTR) return;
  throw Error{{"go on with", wiring.name(worker), "it cannot wake its neighbours: write: " + errno_text(),
               "allow write in the filter of system calls (seccomp) that its handler has put on itself"}};
}

}  // namespace sluice::detail
