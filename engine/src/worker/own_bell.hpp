// SPDX-License-Identifier: Apache-2.0
// Whether a worker still hears its bell. A handler that closes what it has not opened (closefrom) closes the bell, and with
// it the line by which the kernel ends a worker that nobody is left for: such a worker would spin, and stay.
#pragma once

#include <fcntl.h>

#include <sluice/error.hpp>

#include "layout/wiring.hpp"

namespace sluice::detail {

// In the worker's process, after a wait that has brought nothing. Throws Error if the bell is closed.
inline void check_own_bell(const Wiring& wiring, WorkerIndex worker) {
  if (::fcntl(wiring.bell(worker).fd(), F_GETFD) >= 0) return;
  throw Error{{"go on with", wiring.name(worker),
               "its handler has closed descriptors of the pipeline (closefrom or close_range, most likely)",
               "let the handler close what it has opened, and nothing else"}};
}

}  // namespace sluice::detail
