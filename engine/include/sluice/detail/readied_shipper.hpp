// SPDX-License-Identifier: Apache-2.0
// A CheckpointShipper that has something to do before there is anything to ship: a connection to make, say, for which nobody has to
// wait then.
#pragma once

#include <functional>

#include <sluice/checkpoint_shipper.hpp>

namespace sluice::detail {

struct ReadiedShipper {
  CheckpointShipper ship{};
  // Called once in each process that ships, before its first checkpoint, while the workers begin. It stores nothing. What it throws
  // is nobody's: the first checkpoint has it again.
  std::function<void()> ready{};

  void operator()(const ShippedCheckpoint& checkpoint) const { ship(checkpoint); }
};

}  // namespace sluice::detail
