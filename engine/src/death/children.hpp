// SPDX-License-Identifier: Apache-2.0
// Children that a handler forks. A child is a copy of the worker, and it is not the worker: it may read what the worker
// reads, and can neither change the pipeline's memory nor go on with the worker's batch, so that nothing takes effect
// twice. One that tries ends, with a word on standard error, and the worker does not notice.
#pragma once

#include <cstddef>
#include <string_view>

#include <sluice/detail/home_process.hpp>
#include <sluice/ipc/segment.hpp>

namespace sluice::detail {

// From now on the children of this process, which has `region` already, can only read the segment. Once a process,
// before it runs user code. `segment` outlives the process's user code. Throws nothing; memory that is short ends the
// process.
void keep_children_out(ipc::Segment& segment, std::size_t region, std::string_view pipeline,
                       std::string_view worker) noexcept;

// Where the worker's process is remembered; nullptr in a process that is none.
inline const HomeProcess* home_of_worker = nullptr;

// This is a child of a worker. Two loads.
inline bool is_child_of_worker() noexcept {
  return home_of_worker != nullptr && !home_of_worker->here();
}
// That address is in the worker's region.
bool is_workers_own(const void* address) noexcept;

// The child has come back from its handler, or has written to the region: says so and ends. Async-signal-safe.
[[noreturn]] void end_child() noexcept;

}  // namespace sluice::detail
