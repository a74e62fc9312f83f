// SPDX-License-Identifier: Apache-2.0
// How a pipeline has ended, as its segment says it.
#pragma once

#include <sluice/end.hpp>

#include "layout/control_plane.hpp"

namespace sluice::detail {

inline End end_of(const Requests& requests, const MasterRegister& master) noexcept {
  // [master.state] acquire: what the pipeline has done, and its message; pairs with Master::end().
  switch (master.state.load(std::memory_order_acquire)) {
    case RunState::finished:
      return drain_asked(requests, master) || host_gone(master) ? End::drained : End::finished;
    case RunState::stopped:
      return End::stopped;
    case RunState::failed:
      return End::failed;
    case RunState::parked:
      return End::parked;
    default:
      return End::none;
  }
}

}  // namespace sluice::detail
