// SPDX-License-Identifier: Apache-2.0
// What this machine and this process may have of memory, asked before anything is made.
#pragma once

#include <cstddef>
#include <string>

namespace sluice::ipc {

// What to do against it.
inline constexpr const char* kTakeLessMemory =
    "lower lane.bytes, lane.slots, state.bytes or the number of workers";

// Throws Error, which names the limit, what is needed and what there is, when a file of `bytes` in memory, mapped
// in `mappings` pieces, cannot be had. `name` is the pipeline's.
void refuse_more_memory_than_there_is(const std::string& name, std::size_t bytes, std::size_t mappings);

// Throws Error, which names the limit, when this process may not have so many addresses as there are to be now.
void refuse_addresses(const std::string& name, std::size_t bytes);

// What this process has locked of its memory.
std::size_t locked_bytes();
// Of the file in memory of a pipeline, for /proc/PID/maps.
std::string memory_file_name(const std::string& pipeline);

}  // namespace sluice::ipc
