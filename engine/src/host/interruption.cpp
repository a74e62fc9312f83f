// SPDX-License-Identifier: Apache-2.0
#include "host/interruption.hpp"

#include <atomic>
#include <ctime>
#include <poll.h>

#include <sluice/detail/clock.hpp>

namespace sluice::detail {
namespace {

// relaxed throughout: written before the waits that it is for, by the thread that waits.
std::atomic<const volatile std::sig_atomic_t*> counted{nullptr};

// Written by handlers of signals.
std::atomic<int> last_signal{0};
std::atomic<std::int64_t> last_signal_ns{0};

}  // namespace

void end_waits_by(const volatile std::sig_atomic_t* count) noexcept {
  counted.store(count, std::memory_order_relaxed);
}

bool is_another_signal(int signal) noexcept {
  constexpr std::chrono::nanoseconds kOneRequest = std::chrono::milliseconds{50};
  const std::int64_t now = monotonic_now().count();
  const std::int64_t since = now - last_signal_ns.load(std::memory_order_relaxed);
  if (last_signal.load(std::memory_order_relaxed) == signal && since < kOneRequest.count()) return false;
  last_signal.store(signal, std::memory_order_relaxed);
  last_signal_ns.store(now, std::memory_order_relaxed);
  return true;
}

Interruption::Interruption() noexcept
    : count_{counted.load(std::memory_order_relaxed)}, before_{count_ == nullptr ? 0 : *count_} {}

bool Interruption::has_come() const noexcept {
  return count_ != nullptr && *count_ != before_;
}

bool Interruption::came_before() noexcept {
  const volatile std::sig_atomic_t* const count = counted.load(std::memory_order_relaxed);
  return count != nullptr && *count != 0;
}

void Interruption::wait(const ipc::Doorbell& bell, std::chrono::nanoseconds limit) const noexcept {
  if (count_ == nullptr) {
    bell.wait(limit);
    return;
  }
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
  const timespec timeout{seconds.count(), (limit - seconds).count()};
  pollfd entry{bell.fd(), POLLIN, 0};
  if (::ppoll(&entry, 1, &timeout, nullptr) > 0) bell.wait(std::chrono::nanoseconds{0});
}

}  // namespace sluice::detail
