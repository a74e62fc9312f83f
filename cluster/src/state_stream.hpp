// SPDX-License-Identifier: Apache-2.0
// What StateLog asks the server about its stream.
#pragma once

#include <string>

#include "client.hpp"

namespace sluice::detail {

// Of the partition's subject; null when there is none.
NatsMessagePtr last_state_message(const NatsClient& client, const std::string& cluster, unsigned partition);

// How many partitions have something there: one more than the highest number; 0 where there is nothing, and no stream.
unsigned stored_partitions(const NatsClient& client, const std::string& cluster);

// Why it would lose something, as somebody has set it since it was made; empty: it would not, or is not there.
std::string state_stream_harm(const NatsClient& client, const std::string& cluster);

}  // namespace sluice::detail
