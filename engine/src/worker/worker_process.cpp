// SPDX-License-Identifier: Apache-2.0
#include "worker/worker_process.hpp"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fcntl.h>
#include <new>
#include <sys/prctl.h>
#include <unistd.h>
#include <utility>

#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/process_name.hpp>
#include <sluice/detail/scheduling.hpp>
#include <sluice/detail/signals.hpp>
#include <sluice/detail/standard_streams.hpp>
#include <sluice/error.hpp>
#include <sluice/pinning/bind.hpp>
#include <sluice/pinning/masks.hpp>
#include <sluice/pinning/quota.hpp>
#include <sluice/printable.hpp>

#include "death/children.hpp"
#include "death/crash_note.hpp"
#include "death/words_of.hpp"
#include "state/oversize.hpp"
#include "worker/outside_wait.hpp"
#include "worker/refusals.hpp"
#include "worker/worker_loop.hpp"

namespace sluice::detail {
namespace {

// The drill (watchdog.drill): what happens when a handler hangs.
void hang(int) {
  volatile bool forever = true;
  while (forever) {
  }
}

// Every process may make itself likelier to be taken; only some may go back.
void raise_oom_score(int by) noexcept {
  if (by == 0) return;
  const Descriptor file{::open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC)};
  char text[16] = {};
  if (!file || ::pread(file.get(), text, sizeof(text) - 1, 0) <= 0) return;
  constexpr int kMost = 1000;  // Source: proc(5).
  const int length = std::snprintf(text, sizeof(text), "%d", std::min(std::atoi(text) + by, kMost));
  // A kernel or a container that refuses it picks as it likes, and that is all.
  [[maybe_unused]] const ssize_t written = ::pwrite(file.get(), text, static_cast<std::size_t>(length), 0);
}

}  // namespace

void prepare_worker(const Wiring& wiring) {
  raise_oom_score(wiring.settings().oom_score);
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
  control.awaited_lane.store(0, std::memory_order_relaxed);
  ipc::nobody_sleeps(control);
  // What the predecessor had declared ended with it.
  control.outside.until_ns.store(0, std::memory_order_relaxed);
  control.pid.store(::getpid(), std::memory_order_relaxed);
  control.incarnation.store(incarnation, std::memory_order_relaxed);
  control.magic = ipc::kRegionMagic;
  return life;
}

namespace {

// Those that the host has given to other stages: every process before this one has all of them.
void close_descriptors_of_others(const Wiring& wiring, WorkerIndex worker) noexcept {
  const std::vector<int>& own = wiring.node(worker).options.descriptors;
  for (const Node& node : wiring.graph().nodes) {
    for (const int fd : node.options.descriptors) {
      if (fd > STDERR_FILENO && std::find(own.begin(), own.end(), fd) == own.end()) ::close(fd);
    }
  }
}

std::vector<LaneInHand> lanes_into(const Wiring& wiring, WorkerIndex worker) {
  std::vector<LaneInHand> lanes;
  lanes.reserve(wiring.layout().worker(worker).lanes_in.size());
  for (const LaneIndex index : wiring.layout().worker(worker).lanes_in) {
    const ipc::LaneMemory memory = wiring.lane(index);
    const EventType& type = wiring.edge(wiring.layout().lanes[index]).type;
    lanes.push_back({memory.ring, memory.capacity_bytes, type.bytes, type.record});
  }
  return lanes;
}

Sharing sharing_of(const WaitSettings& settings, const pinning::Place& place) {
  if (!place.shared) return Sharing::alone;
  return settings.preempt ? Sharing::interrupting : Sharing::in_turns;
}

// A predecessor that was ended in a call outside, which took longer than it had said, has found nobody there.
bool found_nobody(const Wiring& wiring, WorkerIndex worker) noexcept {
  // relaxed: written before this process was started.
  return wiring.entry(worker).last_cause.load(std::memory_order_relaxed) == Cause::overran;
}

// A step may commit many events and end at the next one: the outside was there for those.
WorkerLoop::Step step(WorkerLoop& loop, OutsideWait& outside) {
  try {
    return loop.step();
  } catch (const Unavailable&) {
    if (loop.has_committed()) outside.over();
    outside.undid(loop.undone_events());
    throw;
  }
}

void run_loop(WorkerLoop& loop, OutsideWait& outside) {
  while (true) {
    switch (step(loop, outside)) {
      case WorkerLoop::Step::worked:
        if (outside.worked()) loop.limit_batches(outside.most_in_batch());
        break;
      case WorkerLoop::Step::nothing:
        outside.over();
        loop.wait_for_input();
        break;
      case WorkerLoop::Step::finished:
        return;
    }
  }
}

// What the kernel grants this process by now, and what the control groups pay for at this moment.
unsigned threads_of(const Wiring& wiring, WorkerIndex worker) {
  const unsigned asked = wiring.settings(worker).threads;
  pinning::Mask granted;
  if (asked < 2 || pinning::read_mask(0, granted) != 0) return 1;
  std::size_t by_all = 0;
  for (const WorkerIndex each : wiring.workers())
    by_all += std::max(1U, wiring.settings(each).threads);
  return pinning::threads_that_run(
      {.by_process = asked, .by_all = by_all, .units_of_process = pinning::set_of(granted).count()},
      pinning::cpu_quota());
}

void work(const Wiring& wiring, const pinning::Place& place, WorkerIndex worker, ipc::Control& control,
          ipc::Life& life) {
  const WaitSettings& settings = wiring.settings(worker).wait;
  // A worker that a test or a benchmark places by itself has no entry.
  const PlaceEntry& entry = wiring.entry(worker).place;
  const bool entered = !pinning::is_empty(load_mask(entry.units));
  DoorbellWaiter waiter{wait_policy(settings, place.shared && !entered), control, wiring.bell(worker), true,
                        entered ? &entry.shared : nullptr};
  OutsideWait outside{wiring, worker};
  Refusals refusals{wiring, worker};
  const unsigned threads = threads_of(wiring, worker);
  bool at_ease = false;
  bool nobody_there = found_nobody(wiring, worker);
  while (true) {
    // A loop that has given its batch up is followed by one that recovers the region, as after a death.
    try {
      if (std::exchange(nobody_there, false))
        throw Unavailable{"a call outside took longer than it had said"};
      WorkerLoop loop{wiring, worker, waiter, refusals.letters()};
      loop.widen(threads);
      loop.limit_batches(outside.most_in_batch());
      life.input_at_ready.store(loop.input_ready() ? 1 : 0, std::memory_order_relaxed);
      life.ready_ns.store(monotonic_now().count(), std::memory_order_relaxed);
      if (!at_ease) take_ease(sharing_of(settings, place));
      at_ease = true;
      return run_loop(loop, outside);
    } catch (const Unavailable& away) {
      if (!at_ease) take_ease(sharing_of(settings, place));
      at_ease = true;
      outside.wait(away);
    } catch (const Refused& refused) {
      refusals.add(refused);
    } catch (const DoAgain&) {
    }
  }
}

// A handler that calls exit() ends the worker, not the host: what the host has to do at its end stands behind this, in
// the order of exit handlers, and is never reached.
void leave_at_exit(int status, void*) {
  write_out_standard_streams();
  ::_exit(status);
}

// Before it comes to exit handlers, exit() destroys the objects of its thread: those of the host's thread, too, which the
// fork has copied. The youngest goes first: this one is made behind all of those. It does not know the status. A child of
// a handler leaves as it wants: whoever waits for it wants to know that.
struct LeavesFirst {
  ~LeavesFirst() {
    if (is_child_of_worker()) return;
    write_out_standard_streams();
    ::_exit(kExitCalled);
  }
};

void leave_before_the_host() {
  ::on_exit(leave_at_exit, nullptr);
  // The same for quick_exit(), which says no status either.
  std::at_quick_exit([] {
    if (!is_child_of_worker()) ::_exit(kExitCalled);
  });
  static const thread_local LeavesFirst leaves;
}

// An event that does not fit is to blame for it, and becomes a dead letter. Nothing else can be moved: a source's call, the
// last word, a constructor.
bool is_moved(const Wiring& wiring, WorkerIndex worker, const ipc::Control& control, const ipc::Life& life) {
  const StageSettings& settings = wiring.settings(worker);
  // relaxed: own words.
  const bool began = life.first_event_ns.load(std::memory_order_relaxed) != 0;
  return settings.oversize == OversizePolicy::dead_letter && settings.poison_attempts != 0 && began &&
         wiring.node(worker).kind == NodeKind::stage &&
         control.progress.lane.load(std::memory_order_relaxed) != kLastWord;
}

// One that has died of its own doing in a span leaves its events as suspects.
void cut_span_of_predecessor(const Wiring& wiring, WorkerIndex worker, ipc::Control& control) noexcept {
  // relaxed: written before this process was started.
  const Cause cause = wiring.entry(worker).last_cause.load(std::memory_order_relaxed);
  if (wiring.node(worker).kind != NodeKind::stage || !is_earned(cause)) return;
  Suspects{control}.cut();
}

}  // namespace

void leave_message(ipc::Control& control, ipc::Activity activity, const char* text) noexcept {
  const std::string_view kept = cut_text(text, sizeof(control.message) - 1);
  std::copy(kept.begin(), kept.end(), control.message);
  control.message[kept.size()] = '\0';
  // relaxed: read once the death of this process is confirmed.
  control.activity.store(activity, std::memory_order_relaxed);
}

void take_region(const Wiring& wiring, WorkerIndex worker) {
  const WorkerMemory memory = wiring.worker(worker);
  wiring.own(process_of(worker));
  ipc::Control& control = memory.control();
  begin_life(control, process_of(worker));
  // A flush that a kill from outside has cut off says nothing against its events. relaxed: written before this process
  // was started.
  if (memory.entry().last_cause.load(std::memory_order_relaxed) == Cause::outside)
    control.outside.flushing.store(0, std::memory_order_relaxed);
  cut_span_of_predecessor(wiring, worker, control);
}

void run_worker(const Wiring& wiring, const pinning::Place& place, WorkerIndex worker,
                Region region) noexcept {
  const WorkerMemory memory = wiring.worker(worker);
  set_worker_name(wiring.graph().name, memory.name());
  close_descriptors_of_others(wiring, worker);
  if (region == Region::to_be_taken) take_region(wiring, worker);
  wiring.own(process_of(worker));
  if (wiring.executed_start() != nullptr) wiring.segment().close_files();
  ipc::Control& control = memory.control();
  // relaxed: own words.
  ipc::Life& life = control.lives[control.incarnation.load(std::memory_order_relaxed) % ipc::kLivesKept];
  const std::vector<LaneInHand> lanes = lanes_into(wiring, worker);
  leave_crash_notes(memory.crash_note(), control, lanes);
  keep_children_out(wiring.segment(), process_of(worker).value(), wiring.graph().name, memory.name());
  leave_before_the_host();
  forget_what_was_lost();
  // A kernel that grants less than the place is reported by the host; the worker works all the same.
  pinning::bind_this_process(place);
  int status = kExitFinished;
  try {
    work(wiring, place, worker, control, life);
  } catch (const Oversize& error) {
    const bool moved = is_moved(wiring, worker, control, life);
    if (moved) note_exception(CrashKind::exception);
    leave_message(control, moved ? ipc::Activity::failed : ipc::Activity::hopeless, words_of(error));
    status = moved ? kExitHandlerThrew : kExitHopeless;
  } catch (const Error& error) {
    leave_message(control, ipc::Activity::hopeless, words_of(error));
    status = kExitHopeless;
  } catch (const std::bad_alloc& error) {
    note_exception(CrashKind::out_of_memory);
    leave_message(control, ipc::Activity::failed, words_of(error));
    status = kExitHandlerThrew;
  } catch (const std::exception& error) {
    note_exception(CrashKind::exception);
    leave_message(control, ipc::Activity::failed, words_of(error));
    status = kExitHandlerThrew;
  } catch (...) {
    note_exception(CrashKind::exception);
    leave_message(control, ipc::Activity::failed, "the handler threw something that is no std::exception");
    status = kExitHandlerThrew;
  }
  write_out_standard_streams();
  // Not exit(): the host's static objects and exit handlers belong to the host.
  ::_exit(status);
}

}  // namespace sluice::detail
