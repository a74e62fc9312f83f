// SPDX-License-Identifier: Apache-2.0
#include "master/standstill.hpp"

#include <algorithm>

namespace sluice::detail {

void Standstill::ask() noexcept {
  std::atomic<std::uint32_t>& number = wiring_.master().standstill;
  // relaxed: own word; what the workers do about it they say themselves.
  const std::uint32_t now = number.load(std::memory_order_relaxed);
  if (!asks_to_stand(now)) number.store(now + 1, std::memory_order_relaxed);
  wiring_.ring_all();
}

bool Standstill::asked() const noexcept {
  return asks_to_stand(wiring_.master().standstill.load(std::memory_order_relaxed));  // relaxed: own word.
}

bool Standstill::reached() const noexcept {
  const std::uint32_t number = wiring_.master().standstill.load(std::memory_order_relaxed);
  if (!asks_to_stand(number)) return false;
  return std::all_of(children_.begin(), children_.end(), [&](const Child& child) {
    if (!child.pidfd) return true;
    // [stand.reached] acquire: all that the worker has committed; pairs with WorkerLoop::stand_still().
    const std::uint64_t word =
        wiring_.worker(child.worker).control().standing.load(std::memory_order_acquire);
    return word == standing_word(number, child.pid);
  });
}

void Standstill::release() noexcept {
  std::atomic<std::uint32_t>& number = wiring_.master().standstill;
  const std::uint32_t now = number.load(std::memory_order_relaxed);  // relaxed: own word.
  if (!asks_to_stand(now)) return;
  // [stand.released] release: what was done while all stood still; pairs with standstill_of().
  number.store(now + 1, std::memory_order_release);
  wiring_.ring_all();
}

}  // namespace sluice::detail
