// SPDX-License-Identifier: Apache-2.0
#include "host/resume.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <random>

#include <sluice/detail/hash.hpp>
#include <sluice/detail/numbered_lives.hpp>
#include <sluice/error.hpp>

#include "death/crash_note.hpp"
#include "layout/relaxed.hpp"
#include "layout/verdict.hpp"

// relaxed throughout: one process, before it forks or after all others are gone.
namespace sluice::detail {

void forget_processes(const Wiring& wiring) {
  for (const ProcessIndex process : wiring.processes()) {
    ipc::Control& control = wiring.process(process).control();
    control.pid.store(0, kRelaxed);
    control.activity.store(ipc::Activity::none, kRelaxed);
    control.standing.store(0, kRelaxed);
    ipc::nobody_sleeps(control);
    // Times mean nothing after the machine has been started anew.
    control.outside.since_ns.store(0, kRelaxed);
    control.outside.until_ns.store(0, kRelaxed);
  }
  for (const EndLayout& end : wiring.layout().ends)
    ipc::nobody_sleeps(wiring.end(end.node).control);
  for (const WorkerIndex index : wiring.workers()) {
    const WorkerMemory worker = wiring.worker(index);
    ipc::Control& control = worker.control();
    const std::uint32_t last = control.incarnation.load(kRelaxed) % ipc::kLivesKept;
    // The start waits until the last life of every worker is ready: that must be one to come.
    control.lives[last].ready_ns.store(0, kRelaxed);
    // What an event is to blame for is remembered, and why; the stack of that life means nothing in this one.
    worker.crash_note().frame_count.store(0, kRelaxed);
    WorkerEntry& entry = worker.entry();
    entry.pid.store(0, kRelaxed);
    store_mask(entry.place.units, {});
    entry.place.refused.store(0, kRelaxed);
    // Who is shed stays so, and shows as such: its neighbours may have ended since without what it would make.
    const std::uint32_t shed = entry.shed.load(kRelaxed);
    entry.done.store(shed, kRelaxed);
    entry.verdict.store(shed != 0 ? static_cast<std::uint32_t>(Verdict::shed) : 0, kRelaxed);
    // No master was there to notice the last death.
    entry.noticed_ns[last].store(0, kRelaxed);
  }
  MasterRegister& master = wiring.master();
  // A drain stays asked for, by a user or an operator: sources and stages may have come to their end because of
  // it. With a host that died it is the same if the pipeline went on without it.
  if (drain_asked(wiring.requests(), master) || host_gone(master)) wiring.requests().drain.store(1, kRelaxed);
  master.drain_asked.store(0, kRelaxed);
  wiring.requests().stop.store(0, kRelaxed);
  wiring.requests().park.store(0, kRelaxed);
  master.standstill.store(0, kRelaxed);
  master.parking.store(Parking::no, kRelaxed);
  master.state.store(RunState::starting, kRelaxed);
  master.host_gone.store(0, kRelaxed);
  master.masters.store(0, kRelaxed);
  store_mask(master.planned_for, {});  // The first master enters the places of this start.
  master.plans.store(0, kRelaxed);
  master.at_work_ns.store(0, kRelaxed);
  for (std::atomic<std::uint64_t>* word :
       {&master.checkpoints, &master.checkpoint_failures, &master.checkpoint_bytes})
    word->store(0, kRelaxed);
  for (std::atomic<std::int64_t>* word : {&master.no_checkpoint_since_ns, &master.checkpoint_at_ns,
                                          &master.checkpoint_pause_ns, &master.checkpoint_longest_pause_ns})
    word->store(0, kRelaxed);
  master.master.pid.store(0, kRelaxed);
  master.supervisor.pid.store(0, kRelaxed);
  master.message[0] = '\0';
  master.no_checkpoint_why[0] = '\0';
}

namespace {

std::uint64_t check_of(const Requests& requests) {
  const std::array<std::uint64_t, 2> drawn{requests.run.load(kRelaxed), requests.hash_seed.load(kRelaxed)};
  return hash_bytes(drawn.data(), sizeof(drawn));
}

}  // namespace

void draw_run(const Wiring& wiring) {
  Requests& requests = wiring.requests();
  std::random_device random;
  while (requests.run.load(kRelaxed) == 0) {
    const std::uint64_t bits = std::uint64_t{random()} << 32U | random();
    requests.run.store(bits >> (64U - EventId::kRunBits), kRelaxed);
  }
  draw_hash_seed(wiring);
  requests.drawn_check.store(check_of(requests), kRelaxed);
}

void draw_hash_seed(const Wiring& wiring) {
  std::atomic<std::uint64_t>& seed = wiring.requests().hash_seed;
  std::random_device random;
  while (seed.load(kRelaxed) == 0)
    seed.store(std::uint64_t{random()} << 32U | random(), kRelaxed);
}

void refuse_damaged_numbers(const Wiring& wiring, const std::string& from) {
  const Requests& requests = wiring.requests();
  // A start that died before its first fork has not drawn all of them.
  if (requests.drawn_check.load(kRelaxed) == check_of(requests) || is_untouched(wiring)) return;
  throw Error{
      {"go on with", from,
       "the number of its run or the seed of its tables' keys is damaged: something has written into it",
       "go on with a checkpoint of before, if there is one, or remove it and begin anew"}};
}

namespace {

// Of the lives that this process begins; 0: by the clock.
std::atomic<std::uint64_t> least_life{0};

std::uint64_t least_by_the_clock() {
  const auto since_1970 = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(std::chrono::nanoseconds{since_1970}.count());
}

}  // namespace

void number_lives_from(std::uint64_t number) noexcept {
  least_life.store(number, kRelaxed);
}

// Two restores of one checkpoint know of no other, and the later one is to have the higher number: by what tells their order, or
// else by the clock.
void begin_life(const Wiring& wiring) {
  std::atomic<std::uint64_t>& life = wiring.requests().life;
  const std::uint64_t told = least_life.load(kRelaxed);
  life.store(std::max(life.load(kRelaxed) + 1, told != 0 ? told : least_by_the_clock()), kRelaxed);
}

bool is_untouched(const Wiring& wiring) {
  for (const WorkerIndex worker : wiring.workers()) {
    if (wiring.worker(worker).commit().committed.load(kRelaxed) != 0) return false;
  }
  const ProcessMemory host = wiring.host();
  const std::vector<EndLayout>& ends = wiring.layout().ends;
  return std::all_of(ends.begin(), ends.end(), [&host](const EndLayout& end) {
    return host.cursors()[end.count_word].load(kRelaxed) == 0;
  });
}

bool all_pulled(const Wiring& wiring) {
  const std::vector<LaneIndex>& lanes = wiring.host().layout().lanes_in;
  return std::all_of(lanes.begin(), lanes.end(), [&wiring](LaneIndex lane) {
    const ipc::LaneMemory memory = wiring.lane(lane);
    return memory.producer->tail.load(kRelaxed) == memory.consumer->head.load(kRelaxed);
  });
}

}  // namespace sluice::detail
