// SPDX-License-Identifier: Apache-2.0
// Shallow idle states: what the setting power.latency asks of the processors for as long as a pipeline runs.
//
// A processor that has nothing to do falls into states that take tens of microseconds to leave. The kernel
// keeps it out of them while some process holds /dev/cpu_dma_latency open at 0. The host opens it and hands
// it down by fork: whichever of its processes is the last to die, the kernel then leaves things as they were.
#pragma once

#include <string>

#include <sluice/detail/descriptor.hpp>

#include "layout/resolved_settings.hpp"

namespace sluice::detail {

class ShallowIdle {
 public:
  // Holds it if the setting says `try` or `hold`. Throws Error if it says `hold` and it is not to be had.
  // The caller forks, and lets go of it.
  explicit ShallowIdle(IdleStates wanted);
  // For people: a line, or empty if nothing was asked for.
  const std::string& remark() const noexcept { return remark_; }
  // What is handed down; negative for nothing.
  int descriptor() const noexcept { return device_.get(); }

 private:
  Descriptor device_;
  std::string remark_;
};

}  // namespace sluice::detail
