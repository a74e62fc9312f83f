// SPDX-License-Identifier: Apache-2.0
// What StateLog asks the server about its stream.
#pragma once

#include <string>

#include "client.hpp"

namespace sluice::detail {

// Of the partition's subject; null when there is none.
NatsMessagePtr last_state_message(const NatsClient& client, const std::string& cluster, unsigned partition);

}  // namespace sluice::detail
