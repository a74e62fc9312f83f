// SPDX-License-Identifier: Apache-2.0
// How often a test of chance throws its dice.
#pragma once

#include <sluice/detail/sanitizers.hpp>

namespace sluice::pinning {

// With AddressSanitizer, where each takes ten times as long, a tenth of them.
constexpr int rounds(int count) {
  return SLUICE_ADDRESS_SANITIZER != 0 ? count / 10 : count;
}

}  // namespace sluice::pinning
