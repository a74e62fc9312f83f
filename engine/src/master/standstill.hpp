// SPDX-License-Identifier: Apache-2.0
// The master's side of a standstill: layout/standstill.hpp draws it. Used by the master only.
#pragma once

#include "layout/standstill.hpp"
#include "layout/wiring.hpp"
#include "master/child.hpp"

namespace sluice::detail {

class Standstill {
 public:
  // Both must outlive it.
  Standstill(const Wiring& wiring, const Children& children) noexcept
      : wiring_{wiring}, children_{children} {}

  // All workers stand still at their next commit. Can be repeated.
  void ask() noexcept;
  // An earlier master may have asked.
  bool asked() const noexcept;
  // No worker runs: each stands still, is done, or has no process.
  bool reached() const noexcept;
  // They go on.
  void release() noexcept;

 private:
  const Wiring& wiring_;
  const Children& children_;
};

}  // namespace sluice::detail
