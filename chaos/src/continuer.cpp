// SPDX-License-Identifier: Apache-2.0
#include "continuer.hpp"

#include <csignal>
#include <ctime>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sluice/detail/process_name.hpp>

namespace sluice::detail {

void continue_after(int pidfd, std::chrono::nanoseconds pause) noexcept {
  set_process_name(kChaosName);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP})
    std::signal(signal, SIG_IGN);
  // The pipes and sockets of the host are not ours to keep open.
  ::dup2(pidfd, 0);
  ::close_range(1, ~0U, 0);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(pause);
  const timespec rest{seconds.count(), (pause - seconds).count()};
  ::nanosleep(&rest, nullptr);
  ::syscall(SYS_pidfd_send_signal, 0, SIGCONT, nullptr, 0);
  ::_exit(0);
}

}  // namespace sluice::detail
