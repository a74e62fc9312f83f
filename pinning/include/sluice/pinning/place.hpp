// SPDX-License-Identifier: Apache-2.0
// Where one process of a pipeline belongs: what a plan decides and a binding carries out.
#pragma once

#include <sluice/pinning/cpu_set.hpp>

namespace sluice::pinning {

struct Place {
  CpuSet units{};      // The process may run on these and no others.
  int numa_node = -1;  // The node its memory should come from; -1 if the units do not agree on one.
  // Its CPU time is not its own: a process that runs here waits by sleeping, never by spinning.
  bool shared = false;

  friend bool operator==(const Place&, const Place&) = default;
};

}  // namespace sluice::pinning
