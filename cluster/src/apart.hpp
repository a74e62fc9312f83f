// SPDX-License-Identifier: Apache-2.0
// A process beside that of a partition, for what needs libnats: that has threads, and a process that has any starts no pipeline. What
// it asks of the server has limits of its own, so whoever started it waits for it as long as it shows that it runs; one that somebody
// has stopped shows nothing, and is ended.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <sys/types.h>

#include "partition_process.hpp"

namespace sluice::detail {

// Longer than a machine that is busy keeps a thread waiting, mostly: one that is ended wrongly costs a start.
inline constexpr std::chrono::milliseconds kLongestSilence{2'000};

// A word over `line`, a socket, every 100 ms until this process ends. Returns when nobody listens any more.
void show_life(int line) noexcept;

// Waits for the end of a child, whose other end of `line` is open nowhere else. Nothing, and it is killed, if it has shown no life for
// `silence`.
std::optional<PartitionEnd> await_end(pid_t child, int line, std::chrono::milliseconds silence) noexcept;

// What `work` did in such a process, which ends with this one. Throws Error if it is stopped.
PartitionEnd apart(const std::function<void()>& work, std::chrono::milliseconds silence = kLongestSilence);

// What `work` did, as the agent understands it; says why.
PartitionEnd end_of(const std::function<PartitionEnd()>& work) noexcept;

}  // namespace sluice::detail
