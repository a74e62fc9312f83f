// SPDX-License-Identifier: Apache-2.0
// What a source tells of what it reads: a piece of its recoverable state, so that an observer sees how far behind it is, and a
// checkpoint knows up to where it holds what was read.
//
// Written by the source in its worker. It is claimed behind all that the handler keeps: a state of an older version has none. Read by
// observers and the checkpointer, who trust none of it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace sluice::detail {

inline constexpr std::string_view kSourceLagName =
    "sluice.lag ";  // And what tells several of one worker apart.

struct SourceLag {
  std::uint64_t events;  // That were waiting behind the last one it read, when it looked last.
  std::uint64_t bytes;   // About.
  std::int64_t told_ns;  // When that was; since 1970. 0: it has not looked yet.
  // The piece of the same state whose first eight bytes are the position of what comes next; ends with a zero.
  char position[40];
  char of
      [192];  // What it reads: a word for its kind, and what that calls it. Ends with a zero; empty: it is too long.
};
static_assert(std::is_trivially_copyable_v<SourceLag> && sizeof(SourceLag) == 256);

}  // namespace sluice::detail
