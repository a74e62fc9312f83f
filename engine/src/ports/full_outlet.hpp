// SPDX-License-Identifier: Apache-2.0
// Which outlet a full lane waits for: the stage behind it waits for room, and so on to an outlet from which nobody pulls.
//
// Exact, since each worker says which lane it waits for: no worker on the way can go on before somebody pulls.
#pragma once

#include <cstdint>
#include <optional>

#include "layout/wiring.hpp"

namespace sluice::detail {

// An outlet's lane that is full, and how far it was pulled.
struct FullOutlet {
  LaneIndex lane;
  std::uint64_t head = 0;

  friend bool operator==(const FullOutlet&, const FullOutlet&) noexcept = default;
};

// By any process. The waits are looked at one by one: ask twice.
std::optional<FullOutlet> outlet_behind(const Wiring& wiring, LaneIndex full) noexcept;

// The same for who finds the number of a lane in a process's `awaited_lane`, which may hold anything; nothing if that
// is none that `producer` writes.
std::optional<LaneIndex> lane_awaited_by(const Wiring& wiring, ProcessIndex producer,
                                         const ipc::Control& control) noexcept;

}  // namespace sluice::detail
