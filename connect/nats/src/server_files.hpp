// SPDX-License-Identifier: Apache-2.0
// Whether the files of a NatsServer are there, for programs that take them as options: libnats reads one of them when it connects,
// and says of the other that something is null.
#pragma once

#include <sluice/connect/nats_server.hpp>

namespace sluice::detail {

// Throws Error for a file that this process cannot read.
void check_files(const NatsServer& server);

}  // namespace sluice::detail
