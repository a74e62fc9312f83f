// SPDX-License-Identifier: Apache-2.0
// What the bucket of the cluster (owners.hpp) says of one partition, for the processes of that partition, which watch nothing.
//
// All of these throw Unavailable when the server does not answer, and take a bucket that is not there for an empty one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "assignment.hpp"
#include "client.hpp"

namespace sluice::detail {

std::optional<PartitionEntry> recorded_entry(const NatsClient& client, const std::string& cluster,
                                             unsigned partition);

// That a checkpoint of the partition was stored: whoever finds none later on knows that they were lost. False without a bucket.
bool record_stored(const NatsClient& client, const std::string& cluster, unsigned partition);
bool is_recorded_stored(const NatsClient& client, const std::string& cluster, unsigned partition);

}  // namespace sluice::detail
