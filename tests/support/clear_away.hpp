// SPDX-License-Identifier: Apache-2.0
// Removes what a test has made, also where a process that is about to end still writes there.
#pragma once

#include <chrono>
#include <filesystem>
#include <thread>

namespace sluice::test {

// The directory or file and all that is in it. Tries again for a while: a file that is made in a directory meanwhile makes its
// removal fail. Throws nothing, so that a destructor may call it; what is still there then is left.
inline void clear_away(const std::filesystem::path& path) noexcept {
  constexpr int kMostTries = 2000;
  for (int tries = 0; tries < kMostTries; ++tries) {
    std::error_code busy;
    std::filesystem::remove_all(path, busy);
    if (!busy) return;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
}

}  // namespace sluice::test
