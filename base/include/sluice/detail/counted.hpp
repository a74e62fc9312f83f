// SPDX-License-Identifier: Apache-2.0
// A number of things in words: "1 event", "2 events".
//
// Called by any thread of any process; allocates.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace sluice::detail {

// `thing` is one of them; several have an s.
inline std::string counted(std::uint64_t number, std::string_view thing) {
  return std::to_string(number).append(" ").append(thing).append(number == 1 ? "" : "s");
}

// As above, with what was done to them, or what they are: "1 event was", "2 events were".
inline std::string counted(std::uint64_t number, std::string_view thing, std::string_view one,
                           std::string_view several) {
  return counted(number, thing).append(" ").append(number == 1 ? one : several);
}

}  // namespace sluice::detail
