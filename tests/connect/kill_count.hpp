// SPDX-License-Identifier: Apache-2.0
// How many kills a test of the connectors makes: as many as fit into CTest's time, or SLUICE_CONNECT_KILLS of
// workers and a twentieth of that of everything else.
#pragma once

#include <cstdlib>

namespace sluice::test {

inline unsigned kills_asked(unsigned otherwise, unsigned share = 1) {
  const char* text = std::getenv("SLUICE_CONNECT_KILLS");
  const unsigned asked = text == nullptr ? 0 : static_cast<unsigned>(std::strtoul(text, nullptr, 10));
  return asked == 0 ? otherwise : asked / share;
}

inline constexpr unsigned kTwentieth = 20;

}  // namespace sluice::test
