// SPDX-License-Identifier: Apache-2.0
#include "master/standby.hpp"

#include <csignal>
#include <cstdint>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sluice/detail/process_name.hpp>
#include <sluice/error.hpp>

#include "death/kill_child.hpp"
#include "worker/own_stack.hpp"

namespace sluice::detail {
namespace {

// To fault the code in ahead, as well, gained less here than it cost when such a process dies: all of its
// page tables are taken down before the master learns of the death.
[[noreturn]] void stand_by(int orders, const Standby::Duties& duties) noexcept {
  renew_canary();
  duties.begin();
  set_process_name(kStandbyName);
  WorkerIndex worker;
  ssize_t got = 0;
  do {
    got = ::read(orders, &worker, sizeof(worker));
  } while (got < 0 && errno == EINTR);
  if (got == static_cast<ssize_t>(sizeof(worker))) {
    ::close(orders);
    duties.become(worker);
  }
  ::_exit(1);
}

}  // namespace

bool Standby::prepare(const Duties& duties) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return false;
  Descriptor orders{ends[0]};
  Descriptor order{ends[1]};
  const pid_t pid = ::fork();
  if (pid == 0) {
    order.reset();
    stand_by(orders.get(), duties);
  }
  if (pid < 0) return false;
  pid_ = pid;
  orders_ = std::move(order);
  try {
    pidfd_ = open_pidfd(pid);
  } catch (const Error&) {
    kill_child(pid);
    ::waitpid(pid, nullptr, 0);
    orders_.reset();
    return false;
  }
  return true;
}

void Standby::tell(WorkerIndex worker) noexcept {
  // Eight bytes fit into an empty pipe: what is not written has no reader any more.
  [[maybe_unused]] const ssize_t written = ::write(orders_.get(), &worker, sizeof(worker));
  orders_.reset();
}

void Standby::give_up() noexcept {
  if (!ready()) return;
  send_signal(pidfd_, SIGKILL);
  siginfo_t info{};
  ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd_.get()), &info, WEXITED);
  pidfd_.reset();
  orders_.reset();
}

}  // namespace sluice::detail
