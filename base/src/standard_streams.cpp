// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <iostream>

#include <sluice/detail/standard_streams.hpp>

namespace sluice::detail {

void write_out_standard_streams() noexcept {
  const auto flush = [](auto& stream) noexcept {
    try {
      stream.flush();
    } catch (...) {
      // A program can ask its streams to throw. What they could not write is told by their state.
    }
  };
  flush(std::cout);
  flush(std::clog);
  flush(std::wcout);
  flush(std::wclog);
  std::fflush(nullptr);
}

}  // namespace sluice::detail
