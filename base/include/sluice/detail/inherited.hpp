// SPDX-License-Identifier: Apache-2.0
// What a process inherits by fork and is not to keep: descriptors of the host. A socket that the host closes would say so
// to its peer only once the last process behind the host had closed it, too.
#pragma once

#include <vector>

namespace sluice::detail {

// Closes every descriptor of this process but the three standard ones and those in `kept`, which need be in no order and
// may hold some twice, or negative ones. For a process that was just forked and has one thread.
void close_all_but(std::vector<int> kept) noexcept;

}  // namespace sluice::detail
