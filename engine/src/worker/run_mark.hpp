// SPDX-License-Identifier: Apache-2.0
// What tells the letters of one life of a pipeline from those of another: kept in a worker's state.
#pragma once

#include <cstdint>

namespace sluice::detail {

struct RunMark {
  std::int64_t time_ns = 0;  // Since 1970.
  std::uint32_t number = 0;  // Never 0 once it is drawn.
  std::uint32_t reserved = 0;
};

RunMark new_run_mark();

}  // namespace sluice::detail
