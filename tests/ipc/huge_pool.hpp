// SPDX-License-Identifier: Apache-2.0
// The machine's pool of huge pages, for a test: larger by some pages while this lives, as large as before afterwards.
// Tests that want pages have it one after the other.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/file.h>
#include <thread>
#include <unistd.h>

namespace sluice::test {

class HugePool {
 public:
  explicit HugePool(std::size_t pages) {
    turn_ = ::open(kDirectory, O_RDONLY | O_CLOEXEC);
    if (turn_ < 0 || ::flock(turn_, LOCK_EX) != 0) return;
    before_ = set_aside();
    set(before_ + pages);
    had_ = set_aside() >= before_ + pages;
  }
  ~HugePool() {
    if (turn_ < 0) return;
    set(before_);
    ::close(turn_);
  }
  HugePool(const HugePool&) = delete;
  HugePool& operator=(const HugePool&) = delete;

  // False where the test has to be skipped: only root may do that, and memory can be too torn for whole pages.
  bool had() const noexcept { return had_; }
  // That no process has, and that none has reserved.
  static std::size_t free() {
    const std::size_t reserved = number("resv_hugepages");
    const std::size_t pages = number("free_hugepages");
    return pages - std::min(pages, reserved);
  }
  // Pages are given back a moment after the last process that had them is gone.
  static bool gets_back(std::size_t pages) {
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{60};
    while (free() < pages) {
      if (std::chrono::steady_clock::now() > until) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    return true;
  }
  static std::size_t number(const char* file) {
    std::size_t found = 0;
    std::ifstream{std::filesystem::path{kDirectory} / file} >> found;
    return found;
  }

  // Without those that the pool has no more, but a process still has: they go with it.
  static std::size_t set_aside() {
    const std::size_t surplus = number("surplus_hugepages");
    const std::size_t pages = number("nr_hugepages");
    return pages - std::min(pages, surplus);
  }

 private:
  static constexpr const char* kDirectory = "/sys/kernel/mm/hugepages/hugepages-2048kB";
  static void set(std::size_t pages) {
    std::ofstream{std::filesystem::path{kDirectory} / "nr_hugepages"} << pages << std::flush;
  }

  int turn_ = -1;
  std::size_t before_ = 0;
  bool had_ = false;
};

inline constexpr const char* kNoHugePool = "no huge pages can be put into the pool here";

}  // namespace sluice::test
