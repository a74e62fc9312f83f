// SPDX-License-Identifier: Apache-2.0
// What the limit of open files leaves for connections.
#pragma once

#include <cstdint>

namespace sluice::detail {

// As many of the wanted connections as this process may have descriptors for. Raises its limit as far as it may (RLIMIT_NOFILE, hard).
std::uint32_t affordable_connections(std::uint32_t wanted);

}  // namespace sluice::detail
