// SPDX-License-Identifier: Apache-2.0
#include "sluice/ipc/far_fence.hpp"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace sluice::ipc {

void join_far_fences() noexcept {
  // Once: what the processes of a running pipeline have inherited does not change under them.
  static const bool joined = ::syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0) == 0;
  // relaxed: far_fences() says why.
  detail::far_fences_reach_us.store(joined, std::memory_order_relaxed);
}

bool far_fence() noexcept {
  return ::syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0) == 0;
}

}  // namespace sluice::ipc
