// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <iostream>

#include <sluice/detail/standard_streams.hpp>

namespace sluice::detail {

void write_out_standard_streams() noexcept {
  try {
    std::cout.flush();
    std::clog.flush();
  } catch (...) {
    // A program can ask its streams to throw. What they could not write is told by their state.
  }
  std::fflush(nullptr);
}

}  // namespace sluice::detail
