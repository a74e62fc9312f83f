// SPDX-License-Identifier: Apache-2.0
// How Engine::wait_for() waits: for a ring, and for what end_waits_by() says. A start is not held up by a handler's constructor, either.
#pragma once

#include <chrono>

#include <sluice/detail/interruption.hpp>
#include <sluice/ipc/doorbell.hpp>

namespace sluice::detail {

class Interruption {
 public:
  // At the beginning of a wait.
  Interruption() noexcept;

  bool has_come() const noexcept;
  // One has come since the program began to count, which it does from 0.
  static bool came_before() noexcept;
  // At most `limit`, and less when any signal is handled.
  void wait(const ipc::Doorbell& bell, std::chrono::nanoseconds limit) const noexcept;

 private:
  const volatile std::sig_atomic_t* count_;
  std::sig_atomic_t before_;
};

}  // namespace sluice::detail
