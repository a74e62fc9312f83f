// SPDX-License-Identifier: Apache-2.0
#include "death/kill_child.hpp"

#include <cerrno>
#include <csignal>
#include <sys/syscall.h>
#include <unistd.h>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

void kill_child(pid_t child) noexcept {
  if (::kill(child, SIGKILL) == 0 || errno == ESRCH) return;
  const Descriptor pidfd{static_cast<int>(::syscall(SYS_pidfd_open, child, 0))};
  if (pidfd) send_signal(pidfd, SIGKILL);
}

}  // namespace sluice::detail
