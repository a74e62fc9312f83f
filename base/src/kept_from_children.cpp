// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/kept_from_children.hpp"

#include <array>
#include <atomic>
#include <pthread.h>
#include <unistd.h>

namespace sluice::detail {
namespace {

// A descriptor and one; 0 for none.
std::array<std::atomic<int>, 64> kept{};

// In the child, which has one thread. relaxed, here and below: the fork orders what was stored before it.
void close_kept() {
  for (std::atomic<int>& each : kept) {
    const int entry = each.exchange(0, std::memory_order_relaxed);
    if (entry != 0) ::close(entry - 1);
  }
}

}  // namespace

void keep_from_children(int fd) noexcept {
  static const bool asked = ::pthread_atfork(nullptr, nullptr, close_kept) == 0;
  if (!asked || fd < 0) return;
  for (std::atomic<int>& each : kept) {
    int none = 0;
    if (each.compare_exchange_strong(none, fd + 1, std::memory_order_relaxed)) return;
  }
}

void keep_no_longer(int fd) noexcept {
  for (std::atomic<int>& each : kept) {
    int entry = fd + 1;
    if (fd >= 0 && each.compare_exchange_strong(entry, 0, std::memory_order_relaxed)) return;
  }
}

}  // namespace sluice::detail
