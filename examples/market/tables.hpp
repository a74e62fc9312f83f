// SPDX-License-Identifier: Apache-2.0
// The tables that the market's handlers keep, in memory of any kind: recoverable in a worker of a pipeline,
// ordinary in a program of one thread. A handler is compiled for either, so that both run the same code.
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

namespace market {

// What memory.table<Key, Value>(name, rows) gives.
template <class Memory, class Key, class Value>
using TableIn =
    decltype(std::declval<Memory&>().template table<Key, Value>(std::string_view{}, std::uint64_t{}));

}  // namespace market
