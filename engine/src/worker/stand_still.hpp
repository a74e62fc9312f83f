// SPDX-License-Identifier: Apache-2.0
// The worker's side of a standstill (layout/standstill.hpp).
#pragma once

#include <unistd.h>

#include <sluice/detail/standard_streams.hpp>

#include "layout/standstill.hpp"
#include "layout/wiring.hpp"

namespace sluice::detail {

// In a worker's process that has committed, or given up, what it was about: stands still until it is released.
// `wait` takes a condition and waits for it, or for a while.
template <class Wait>
void stand_still(const Wiring& wiring, WorkerIndex worker, Wait&& wait) {
  const std::uint32_t number = standstill_of(wiring.master());
  // What the handler has printed until here is out, should the process end in this standstill.
  write_out_standard_streams();
  ipc::Control& control = wiring.worker(worker).control();
  control.activity.store(ipc::Activity::standing, std::memory_order_relaxed);  // relaxed: for people.
  // [stand.reached] release: all that is committed; pairs with Standstill::reached().
  control.standing.store(standing_word(number, ::getpid()), std::memory_order_release);
  wiring.bell(kMasterProcess).ring();
  const auto released = [&] { return standstill_of(wiring.master()) != number; };
  while (!released())
    wait(released);
}

}  // namespace sluice::detail
