// SPDX-License-Identifier: Apache-2.0
// What a pipeline needs of the machine beside memory, asked before anything is made.
#pragma once

#include <string>

#include "layout/layout.hpp"
#include "layout/resolved_settings.hpp"

namespace sluice::detail {

// Throws Error when the kernel, or a filter of system calls, refuses a call that the pipeline cannot do without and
// would need only later: for a stop, or a stall. The oldest kernel that has them all is Linux 5.4. What is newer
// (cgroup 2 events, short slices, identities of pidfds) is used where it is to be had.
void refuse_kernel(const std::string& pipeline);

// Throws Error, which names the limit, what is needed and what there is, when descriptors or processes of the
// pipeline are more than this process may have; or the memory of the copy that checkpoints are made of, beside the segment's.
void refuse_limits(const std::string& pipeline, const Layout& layout, const PipelineSettings& settings,
                   bool segment_in_file);

// Throws Error when this process runs threads beside this one.
void refuse_threads(const std::string& pipeline);

}  // namespace sluice::detail
