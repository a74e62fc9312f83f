// SPDX-License-Identifier: Apache-2.0
// What a program has printed and not yet written.
#pragma once

namespace sluice::detail {

// Writes out what stands in the buffers of std::cout, std::clog, their wide brothers and all FILEs. Before a fork, so that it does not come
// out of the child as well; and before a process ends without its exit handlers. What cannot be written is lost: false when
// something of a FILE was now, or of standard output at any time.
bool write_out_standard_streams() noexcept;

// In a process that was forked: what its parent could not write to standard output is the parent's to tell.
void forget_what_was_lost() noexcept;

}  // namespace sluice::detail
