// SPDX-License-Identifier: Apache-2.0
// What a stream has, by subject.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "client.hpp"

namespace sluice::detail {

// How many messages the stream has of each subject that the filter lets through (with * and > as in NATS), those without any left out.
// Throws Unavailable, and Error: there is no such stream. One request; the server counts.
std::map<std::string, std::uint64_t> subjects_of(const NatsClient& client, const std::string& stream,
                                                 const std::string& filter);

}  // namespace sluice::detail
