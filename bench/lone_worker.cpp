// SPDX-License-Identifier: Apache-2.0
#include "lone_worker.hpp"

#include <csignal>
#include <cstdio>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <sluice/error.hpp>

#include "peer.hpp"
#include "worker/worker_process.hpp"

namespace sluice::bench {

using namespace detail;
namespace {

WorkerIndex worker_named(const Wiring& wiring, const std::string& worker) {
  for (const WorkerIndex index : wiring.workers()) {
    if (wiring.name(index) == worker) return index;
  }
  throw Error{{"measure the worker", worker, "the pipeline has no such worker", ""}};
}

}  // namespace

LoneWorker::LoneWorker(const Graph& graph, const Settings& settings, const std::string& worker,
                       const Instead& instead)
    : host_{graph, settings}, worker_{worker_named(host_.wiring(), worker)} {
  const Wiring& wiring = host_.wiring();
  wiring.segment().open();
  wiring.segment().prefault();
  wiring.segment().own_everything();
  const ProcessLayout& layout = memory().layout();
  for (const LaneIndex id : layout.lanes_in)
    inputs_.emplace_back(wiring.map_lane(id));
  for (const LaneIndex id : layout.lanes_out)
    outputs_.emplace_back(wiring.map_lane(id));
  std::fflush(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) throw Error{{"fork the worker", worker, errno_text(), "raise the limit of processes"}};
  if (pid_ != 0) {
    await_readiness();
    return;
  }
  if (!instead) run_worker(wiring, {.units = {kWorkerUnit}}, worker_);
  pin(kWorkerUnit);
  ipc::LaneConsumer in{wiring.lane(layout.lanes_in.front())};
  ipc::LaneProducer out{wiring.lane(layout.lanes_out.front())};
  // relaxed: the benchmark waits for it and reads nothing else.
  ipc::Control& control = memory().control();
  control.incarnation.store(1, std::memory_order_relaxed);
  control.lives[1].ready_ns.store(1, std::memory_order_relaxed);
  instead(in, out);
  ::_exit(0);
}

void LoneWorker::await_readiness() {
  const ipc::Control& control = memory().control();
  // relaxed: nothing is done on the strength of it but to begin.
  const auto ready = [&control] { return control.lives[1].ready_ns.load(std::memory_order_relaxed) != 0; };
  for (int look = 0; look < 10'000 && !ready(); ++look)
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  if (!ready())
    throw Error{{"measure the worker", memory().name(),
                 std::string{"it did not become ready: "} + control.message, ""}};
}

LoneWorker::~LoneWorker() {
  if (pid_ <= 0) return;
  for (ipc::LaneProducer& lane : inputs_) {
    lane.end();
    lane.publish();
  }
  host_.wiring().bell(worker_).ring();
  for (int look = 0; look < 5'000; ++look) {
    for (ipc::LaneConsumer& lane : outputs_) {  // It may wait for room.
      lane.advance(lane.readable());
      lane.publish();
    }
    if (::waitpid(pid_, nullptr, WNOHANG) != 0) return;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

}  // namespace sluice::bench
