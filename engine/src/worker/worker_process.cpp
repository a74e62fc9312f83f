// SPDX-License-Identifier: Apache-2.0
#include "worker/worker_process.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <new>
#include <sys/prctl.h>
#include <unistd.h>

#include <sluice/detail/process_name.hpp>
#include <sluice/detail/scheduling.hpp>
#include <sluice/detail/signals.hpp>
#include <sluice/error.hpp>
#include <sluice/pinning/bind.hpp>
#include <sluice/printable.hpp>

#include "death/crash_note.hpp"

namespace sluice::detail {
namespace {

// The drill (watchdog.drill): what happens when a handler hangs.
void hang(int) {
  volatile bool forever = true;
  while (forever) {
  }
}

}  // namespace

void prepare_worker(const Wiring& wiring) {
  leave_the_hosts_signals();
  if (wiring.settings().drill) std::signal(SIGUSR2, hang);
  // Where the kernel lets only ancestors trace (Yama), the stack dumper is none; it descends from the host.
  // 0, where there is no host: none may trace.
  const ipc::Control& host = wiring.host().control();
  ::prctl(PR_SET_PTRACER, static_cast<unsigned long>(host.pid.load(std::memory_order_relaxed)));
  wiring.segment().own_nothing();
}

ipc::Life& begin_life(ipc::Control& control, ProcessIndex process) {
  const auto born = monotonic_now();
  // relaxed: no process acts on these; they are read for people and for reports.
  const std::uint32_t last = control.incarnation.load(std::memory_order_relaxed);
  const std::uint32_t incarnation = std::max(last + 1, 1U);  // 0 stands for none, whatever stood there.
  ipc::Life& life = control.lives[incarnation % ipc::kLivesKept];
  life.incarnation.store(0, std::memory_order_relaxed);
  life.ready_ns.store(0, std::memory_order_relaxed);
  life.first_event_ns.store(0, std::memory_order_relaxed);
  life.born_ns.store(born.count(), std::memory_order_relaxed);
  life.incarnation.store(incarnation, std::memory_order_relaxed);
  control.layout_version = ipc::kLayoutVersion;
  control.region = static_cast<std::uint32_t>(process.value());
  control.activity.store(ipc::Activity::starting, std::memory_order_relaxed);
  control.standing.store(0, std::memory_order_relaxed);
  ipc::nobody_sleeps(control);
  control.pid.store(::getpid(), std::memory_order_relaxed);
  control.incarnation.store(incarnation, std::memory_order_relaxed);
  control.magic = ipc::kRegionMagic;
  return life;
}

namespace {

void leave_message(ipc::Control& control, ipc::Activity activity, const char* text) {
  const std::string_view kept = cut_text(text, sizeof(control.message) - 1);
  std::copy(kept.begin(), kept.end(), control.message);
  control.message[kept.size()] = '\0';
  // relaxed: read once the death of this process is confirmed.
  control.activity.store(activity, std::memory_order_relaxed);
}

Sharing sharing_of(const WaitSettings& settings, const pinning::Place& place) {
  if (!place.shared) return Sharing::alone;
  return settings.preempt ? Sharing::interrupting : Sharing::in_turns;
}

void work(const Wiring& wiring, const pinning::Place& place, WorkerIndex worker, ipc::Control& control,
          ipc::Life& life) {
  const WaitSettings& settings = wiring.settings(worker).wait;
  DoorbellWaiter waiter{wait_policy(settings, place.shared), control, wiring.bell(worker), true};
  WorkerLoop loop{wiring, worker, waiter};
  life.input_at_ready.store(loop.input_ready() ? 1 : 0, std::memory_order_relaxed);
  life.ready_ns.store(monotonic_now().count(), std::memory_order_relaxed);
  take_ease(sharing_of(settings, place));
  while (true) {
    switch (loop.step()) {
      case WorkerLoop::Step::worked:
        break;
      case WorkerLoop::Step::nothing:
        loop.wait_for_input();
        break;
      case WorkerLoop::Step::finished:
        return;
    }
  }
}

}  // namespace

void run_worker(const Wiring& wiring, const pinning::Place& place, WorkerIndex worker) noexcept {
  const WorkerMemory memory = wiring.worker(worker);
  set_process_name(memory.name());
  wiring.own(process_of(worker));
  ipc::Control& control = memory.control();
  ipc::Life& life = begin_life(control, process_of(worker));
  leave_crash_notes(memory.crash_note(), control);
  // A kernel that grants less than the place is reported by the host; the worker works all the same.
  pinning::bind_this_process(place);
  int status = kExitFinished;
  try {
    work(wiring, place, worker, control, life);
  } catch (const Error& error) {
    leave_message(control, ipc::Activity::hopeless, error.what());
    status = kExitHopeless;
  } catch (const std::bad_alloc& error) {
    note_exception(CrashKind::out_of_memory);
    leave_message(control, ipc::Activity::failed, error.what());
    status = kExitHandlerThrew;
  } catch (const std::exception& error) {
    note_exception(CrashKind::exception);
    leave_message(control, ipc::Activity::failed, error.what());
    status = kExitHandlerThrew;
  } catch (...) {
    note_exception(CrashKind::exception);
    leave_message(control, ipc::Activity::failed, "the handler threw something that is no std::exception");
    status = kExitHandlerThrew;
  }
  std::fflush(nullptr);
  // Not exit(): the host's static objects and exit handlers belong to the host.
  ::_exit(status);
}

}  // namespace sluice::detail
