// SPDX-License-Identifier: Apache-2.0
// What StateLog asks the server about its stream.
#pragma once

#include <string>

#include "client.hpp"

namespace sluice::detail {

// What the library says beside its status, where there is nothing to say.
inline constexpr auto kNoCode = static_cast<jsErrCode>(0);

// Of the partition's subject; null when there is none.
NatsMessagePtr last_state_message(const NatsClient& client, const std::string& cluster, unsigned partition);

}  // namespace sluice::detail
