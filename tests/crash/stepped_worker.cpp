// SPDX-License-Identifier: Apache-2.0
// The child's side of a stepped life, and its neighbours while it sleeps.
#include "stepped_worker.hpp"

#include <chrono>
#include <exception>

#include "worker/worker_process.hpp"

namespace sluice::test {

using namespace detail;

void live_in_child(Scene& scene, const std::function<void()>& between) {
  const Wiring& wiring = scene.wiring();
  begin_life(scene);
  if (between) between();
  // A place that others share: it sleeps at once, which is the handshake that can go wrong.
  DoorbellWaiter waiter{wait_policy(wiring.settings(Scene::kWorkload).wait, true), scene.view().control(),
                        scene.bell()};
  try {
    WorkerLoop loop{wiring, Scene::kWorkload, waiter};
    while (true) {
      if (between) between();
      const WorkerLoop::Step done = loop.step();
      if (done == WorkerLoop::Step::finished) break;
      if (done == WorkerLoop::Step::nothing) loop.wait_for_input();
    }
  } catch (const std::exception&) {
    // Its end, as in run_worker().
  }
}

void register_worker(Scene& scene, pid_t pid) {
  WorkerEntry& entry = scene.view().entry();
  entry.pid.store(pid);
}

void Attendant::look() {
  const bool sleeps = ipc::sleeps(scene_.view().control());
  if (sleeps && !slept_) {
    scene_.attend();
    scene_.bell().ring();
  }
  slept_ = sleeps;
}

void Attendant::help() {
  if (!ipc::sleeps(scene_.view().control())) return;
  scene_.take();
  scene_.feed();
  scene_.bell().ring();
}

ipc::test::Steps step_life(Scene& scene, Span span, const std::function<bool()>& look) {
  constexpr std::chrono::minutes kLimit{9};
  const auto until = std::chrono::steady_clock::now() + kLimit;
  const ipc::test::SamePlace place;  // Two processes that take turns do so ten times faster on one unit.
  ipc::test::SteppedChild child{[&scene, span] {
    scene.wiring().own(process_of(Scene::kWorkload));
    unsigned halts = 0;
    live_in_child(scene, [&] {
      if (span == Span::recovery && ++halts == 2) ipc::test::SteppedChild::stop_here();
    });
  }};
  if (!child.stopped()) return {0, "this process may not trace its child"};
  register_worker(scene, child.pid());
  Attendant attendant{scene};
  ipc::test::Steps steps;
  bool fine = look();
  while (fine && child.step()) {
    ++steps.instructions;
    fine = look();
    attendant.look();
    if (steps.instructions % 1024 == 0 && std::chrono::steady_clock::now() > until) {
      return {steps.instructions, "broken off at its deadline"};
    }
  }
  steps.ending = fine ? child.ending() : "broken off";
  return steps;
}

}  // namespace sluice::test
