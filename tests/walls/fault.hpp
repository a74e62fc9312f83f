// SPDX-License-Identifier: Apache-2.0
// Damage done to a worker from within: a thread of the worker waits for orders, flips the bits that they name
// in the worker's own region, which is all that it can write, and kills the process at that instant.
#pragma once

#include <array>
#include <csignal>
#include <cstdint>
#include <fcntl.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "support/maps.hpp"

namespace sluice::test {

struct Damage {
  std::uint32_t flips = 0;
  std::array<std::uint64_t, 8> offsets{};  // From the region's first byte.
  std::array<std::uint8_t, 8> bits{};
};

// Made before the processes; whoever has it when it comes to it is the worker.
class Orders {
 public:
  Orders() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) throw std::runtime_error{"no pipe for orders"};
  }
  ~Orders() {
    for (const int end : ends_)
      ::close(end);
  }
  Orders(const Orders&) = delete;
  Orders& operator=(const Orders&) = delete;

  // For the stages whose workers obey.
  std::vector<int> descriptors() const { return {ends_.begin(), ends_.end()}; }

  void give(const Damage& damage) const {
    if (::write(ends_[1], &damage, sizeof(damage)) != sizeof(damage)) throw std::runtime_error{"no orders"};
  }
  // Starts the thread. It ends with the process.
  void obey(const std::string& pipeline) const {
    std::thread{[this, pipeline] {
      Damage damage;
      if (::read(ends_[0], &damage, sizeof(damage)) != sizeof(damage)) return;
      // NOLINTNEXTLINE(performance-no-int-to-ptr): an address that the kernel tells is a number.
      auto* region = reinterpret_cast<std::uint8_t*>(writable_ranges(::getpid(), pipeline).front().begin);
      for (std::uint32_t i = 0; i < damage.flips; ++i)
        region[damage.offsets[i]] =
            static_cast<std::uint8_t>(region[damage.offsets[i]] ^ 1U << damage.bits[i]);
      ::kill(::getpid(), SIGKILL);
    }}.detach();
  }

 private:
  std::array<int, 2> ends_{};
};

}  // namespace sluice::test
