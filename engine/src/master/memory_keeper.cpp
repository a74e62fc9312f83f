// SPDX-License-Identifier: Apache-2.0
#include "master/memory_keeper.hpp"

#include <cerrno>
#include <csignal>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sluice/detail/clock.hpp>
#include <sluice/detail/process_name.hpp>
#include <sluice/detail/scheduling.hpp>

#include "layout/relaxed.hpp"

// relaxed throughout: figures for people, written by the master, or by the keeper while there is one.
namespace sluice::detail {
namespace {

constexpr std::chrono::milliseconds kLook{20};
// One that was killed or could not be forked is not replaced in a tight loop.
constexpr std::chrono::seconds kNextMemoryTry{1};
// A worker that takes longer to its first event than this is not waited for.
constexpr std::chrono::seconds kMemoryPatience{10};

void keep(const Wiring& wiring) {
  MasterRegister& own = wiring.master();
  const auto least_bytes = wiring.settings().memory.collapse_from;
  if (least_bytes) {
    const ipc::Segment::Collapsed result = wiring.segment().collapse(*least_bytes);
    own.collapsed_bytes.store(result.bytes, kRelaxed);
    own.collapse_error.store(result.error, kRelaxed);
  }
  own.collapse_done.store(1, kRelaxed);
  if (!wiring.settings().memory.lock) return;
  const int error = wiring.segment().lock();
  own.lock_error.store(error, kRelaxed);
  own.memory_locked.store(error == 0 ? 1 : 0, kRelaxed);
  if (error != 0) return;
  while (true)
    ::pause();
}

[[noreturn]] void run_keeper(const Wiring& wiring, pid_t master) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != master) ::_exit(1);
  set_process_name("sluice-memory");
  // Neither the master's priority nor a low one: a worker that wants a page waits for whoever is copying it.
  take_ease(Sharing::alone);
  try {
    keep(wiring);
  } catch (const std::exception&) {
    ::_exit(1);  // No memory for a list of pieces: the pages stay small.
  }
  ::_exit(0);
}

}  // namespace

void MemoryKeeper::begin() {
  MasterRegister& own = wiring_.master();
  const MemorySettings& settings = wiring_.settings().memory;
  const std::size_t asked =
      settings.collapse_from ? wiring_.segment().collapsible(*settings.collapse_from) : 0;
  own.collapsible_bytes.store(asked, kRelaxed);
  own.collapse_done.store(asked == 0 ? 1 : 0, kRelaxed);
  own.lock_asked.store(settings.lock ? 1 : 0, kRelaxed);
  own.memory_locked.store(0, kRelaxed);
  own.lock_error.store(0, kRelaxed);
  if (asked != 0 || settings.lock) {
    start_by_ = monotonic_now() + kMemoryPatience;
    next_look_ = monotonic_now();
  } else {
    tell_once();
  }
}

bool MemoryKeeper::workers_are_ready() const noexcept {
  for (const WorkerIndex worker : wiring_.workers()) {
    const WorkerEntry& entry = wiring_.entry(worker);
    if (entry.done.load(kRelaxed) != 0) continue;
    if (entry.pid.load(kRelaxed) == 0) return false;
    const ipc::Control& control = wiring_.worker(worker).control();
    const std::uint32_t now = control.incarnation.load(kRelaxed);
    if (now == 0 || control.lives[now % ipc::kLivesKept].ready_ns.load(kRelaxed) == 0) return false;
  }
  return true;
}

void MemoryKeeper::start() {
  const pid_t master = ::getpid();
  const pid_t pid = ::fork();
  if (pid == 0) run_keeper(wiring_, master);
  if (pid < 0) wiring_.master().collapse_error.store(errno, kRelaxed);
  pid_ = pid < 0 ? 0 : pid;
  next_look_ = monotonic_now() + (pid < 0 ? std::chrono::nanoseconds{kNextMemoryTry} : kLook);
}

void MemoryKeeper::look_if_due() {
  const auto now = monotonic_now();
  if (now < next_look_) return;
  MasterRegister& own = wiring_.master();
  if (pid_ == 0) {
    // On a machine that is full it would take turns with the workers' own start.
    if (workers_are_ready() || now >= start_by_) return start();
    next_look_ = now + kLook;
    return;
  }
  const bool done = own.collapse_done.load(kRelaxed) != 0;
  const bool lock = wiring_.settings().memory.lock;
  int status = 0;
  if (::waitpid(pid_, &status, WNOHANG) == 0) {
    const bool locked = own.memory_locked.load(kRelaxed) != 0;
    if (done && (!lock || locked)) tell_once();
    next_look_ = now + (locked ? std::chrono::nanoseconds{kNextMemoryTry} : kLook);
    return;
  }
  pid_ = 0;
  const bool by_itself = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  own.memory_locked.store(0, kRelaxed);
  next_look_ = now + kNextMemoryTry;
  if (!by_itself) return;
  next_look_ = std::chrono::nanoseconds::max();
  tell_once();
}

void MemoryKeeper::tell_once() {
  if (told_) return;
  told_ = true;
  news_.memory();
}

}  // namespace sluice::detail
