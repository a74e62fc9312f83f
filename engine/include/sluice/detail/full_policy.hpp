// SPDX-License-Identifier: Apache-2.0
// What becomes of an event for a lane that is full: the setting lane.full of the stage that the lane leads
// into.
#pragma once

#include <cstdint>

namespace sluice::detail {

enum class FullPolicy : std::uint8_t {
  block,        // The producer waits.
  drop_newest,  // It is dropped and counted.
  fail,         // It is an error of the producer.
};

}  // namespace sluice::detail
