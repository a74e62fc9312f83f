// SPDX-License-Identifier: Apache-2.0
#include "fan_out/fan_out.hpp"

namespace sluice::bench {

std::vector<FanOut>& fan_outs() {
  static std::vector<FanOut> ways;
  return ways;
}

}  // namespace sluice::bench
