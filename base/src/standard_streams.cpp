// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <iostream>
#include <stdio_ext.h>

#include <sluice/detail/standard_streams.hpp>

namespace sluice::detail {

bool write_out_standard_streams() noexcept {
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
  const bool written = std::fflush(nullptr) == 0;
  return written && std::ferror(stdout) == 0 && !std::cout.bad() && !std::wcout.bad();
}

void forget_what_was_lost() noexcept {
  ::__fpurge(stdout);
  std::clearerr(stdout);
  std::cout.clear();
  std::wcout.clear();
}

}  // namespace sluice::detail
