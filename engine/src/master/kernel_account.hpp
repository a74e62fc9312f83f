// SPDX-License-Identifier: Apache-2.0
// The kernel's own account of a process, for the watchdog. Allocates nothing.
#pragma once

#include <optional>
#include <sys/types.h>

#include "master/watchdog.hpp"

namespace sluice::detail {

// Nothing when there is no such process any more.
std::optional<KernelAccount> kernel_account(pid_t pid) noexcept;

// The process that traces it; 0: nobody, or it is gone.
pid_t tracer_of(pid_t pid) noexcept;

}  // namespace sluice::detail
