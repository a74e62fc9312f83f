// SPDX-License-Identifier: Apache-2.0
// What the processes behind a host make of signals.
#pragma once

namespace sluice::detail {

// After the fork: the handlers of the host, and what it ignores, are the host's own. What a terminal or a
// service manager sends to the whole process group is meant for the host, and would end this process by its
// default: it is ignored. Everything else is as the kernel has it, and nothing is blocked.
void leave_the_hosts_signals() noexcept;

}  // namespace sluice::detail
