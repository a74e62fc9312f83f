// SPDX-License-Identifier: Apache-2.0
// What the kernel says of a process: how long it has run, and what memory is its own. For any process that may trace
// it, which the same user may.
#pragma once

#include <cstdint>
#include <optional>
#include <sys/types.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/stats.hpp>

namespace sluice::detail {

// Nothing for a process that is gone, is another by now, or must not be asked about. The kernel walks through the
// process's page tables for it: about 10 ms for each GiB that is mapped in small pages, in which the process runs on but
// cannot map memory. Throws nothing.
std::optional<UsageStats> usage_of(pid_t pid, std::uint64_t identity) noexcept;
// The same of a process that is held.
std::optional<UsageStats> usage_of(pid_t pid, const Descriptor& pidfd) noexcept;

}  // namespace sluice::detail
