// SPDX-License-Identifier: Apache-2.0
// Closing: one thread does something again and again, and another one may end that, in the midst of it or between.
//
//        who does it                          who ends it
//     1  under way = true                  a  asked = true
//        fence                                far fence
//     2  asked?  then it does nothing      b  under way?  then it leaves the end to the other
//     3  does it
//     4  under way = false
//        fence
//     5  asked?  then it makes the end
//
// Of 1 and 2, and a and b, at least one sees the other, and so do 4 and 5. So once b has found nobody under way, nothing is
// begun any more; and whoever was under way then has seen the question, at 2 or at 5. Both may find that the end is theirs: to make
// it once is the caller's. The full fence on the side that is passed again and again is paid by who asks (far_fence.hpp).
#pragma once

#include <atomic>

#include <sluice/ipc/control.hpp>
#include <sluice/ipc/far_fence.hpp>

namespace sluice::ipc {

class Closing {
 public:
  // 1 and 4; the second says whether the end was asked for: 5.
  void begin() noexcept {
    under_way_.store(true, std::memory_order_relaxed);  // relaxed: the fence.
    fence_or_be_fenced();
  }
  [[nodiscard]] bool end() noexcept {
    // [closing.under_way] release: what was done; pairs with under_way().
    under_way_.store(false, std::memory_order_release);
    fence_or_be_fenced();
    return asked();
  }
  // Between begin() and end(), 2; also for who wants to know no more than that.
  bool asked() const noexcept { return asked_.load(std::memory_order_relaxed); }  // relaxed: the fence.

  // a and b, by another thread, with far_fence() between them, or full_fence() where there are no far_fences().
  void ask() noexcept { asked_.store(true, std::memory_order_relaxed); }  // relaxed: the fence.
  bool under_way() const noexcept {
    // [closing.under_way] acquire: all that was done before; pairs with end().
    return under_way_.load(std::memory_order_acquire);
  }

 private:
  static void fence_or_be_fenced() noexcept {
    if (far_fences()) [[likely]] {
      std::atomic_signal_fence(std::memory_order_seq_cst);
    } else {
      full_fence();  // As the far fence.
    }
  }

  std::atomic<bool> under_way_{false};
  std::atomic<bool> asked_{false};
};

}  // namespace sluice::ipc
