// SPDX-License-Identifier: Apache-2.0
#include "host/shallow_idle.hpp"

#include <cstdint>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include <sluice/error.hpp>

namespace sluice::detail {

ShallowIdle::ShallowIdle(IdleStates wanted) {
  constexpr const char* kDevice = "/dev/cpu_dma_latency";
  if (wanted == IdleStates::leave) return;
  Descriptor device{::open(kDevice, O_WRONLY | O_CLOEXEC)};
  // Source: the kernel's Documentation/power/pm_qos_interface.rst.
  const std::int32_t most_us = 0;
  if (device.get() >= 0 && ::write(device.get(), &most_us, sizeof(most_us)) == sizeof(most_us)) {
    device_ = std::move(device);
    remark_ = "all processors are kept out of deep idle states while it runs (power.latency)\n";
    return;
  }
  const std::string why = errno_text();
  if (wanted == IdleStates::hold_shallow) {
    throw Error{{"keep the processors awake by", kDevice, why,
                 "run as root or give this user the right to write it, or set power.latency=try"}};
  }
  remark_ = std::string{"processors may fall into deep idle states: "} + kDevice + ": " + why + "\n";
}

}  // namespace sluice::detail
