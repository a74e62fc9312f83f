// SPDX-License-Identifier: Apache-2.0
// What a program has printed and not yet written.
#pragma once

namespace sluice::detail {

// Writes out what stands in the buffers of std::cout, std::clog, their wide brothers and all FILEs. Before a fork, so that it does not come
// out of the child as well; and before a process ends without its exit handlers. Writes of streams that fail are lost.
void write_out_standard_streams() noexcept;

}  // namespace sluice::detail
