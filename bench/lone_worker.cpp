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

std::size_t process_of(const Layout& layout, const std::string& worker) {
  for (std::size_t process = kFirstWorker; process < layout.processes.size(); ++process) {
    if (layout.processes[process].name == worker) return process;
  }
  throw Error{{"measure the worker", worker, "the pipeline has no such worker", ""}};
}

}  // namespace

LoneWorker::LoneWorker(const Graph& graph, const Settings& settings, const std::string& worker,
                       const Instead& instead)
    : host_{graph, settings}, process_{process_of(host_.wiring().layout, worker)} {
  const Wiring& wiring = host_.wiring();
  wiring.segment.open();
  wiring.segment.prefault();
  wiring.segment.own_everything();
  const ProcessLayout& layout = wiring.layout.processes[process_];
  for (const std::size_t id : layout.lanes_in)
    inputs_.emplace_back(lane_memory(wiring.layout, wiring.segment, id));
  for (const std::size_t id : layout.lanes_out)
    outputs_.emplace_back(lane_memory(wiring.layout, wiring.segment, id));
  std::fflush(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) throw Error{{"fork the worker", worker, errno_text(), "raise the limit of processes"}};
  if (pid_ != 0) {
    await_readiness();
    return;
  }
  if (!instead) run_worker(wiring, {.units = {kWorkerUnit}}, process_);
  pin(kWorkerUnit);
  ipc::LaneConsumer in{lane_memory(wiring.layout, wiring.segment, layout.lanes_in.front())};
  ipc::LaneProducer out{lane_memory(wiring.layout, wiring.segment, layout.lanes_out.front())};
  // relaxed: the benchmark waits for it and reads nothing else.
  ipc::Control& control = *host_.view(process_).control;
  control.incarnation.store(1, std::memory_order_relaxed);
  control.lives[1].ready_ns.store(1, std::memory_order_relaxed);
  instead(in, out);
  ::_exit(0);
}

void LoneWorker::await_readiness() {
  const ipc::Control& control = *host_.view(process_).control;
  // relaxed: nothing is done on the strength of it but to begin.
  const auto ready = [&control] { return control.lives[1].ready_ns.load(std::memory_order_relaxed) != 0; };
  for (int look = 0; look < 10'000 && !ready(); ++look)
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  if (!ready())
    throw Error{{"measure the worker", host_.wiring().layout.processes[process_].name,
                 std::string{"it did not become ready: "} + control.message, ""}};
}

LoneWorker::~LoneWorker() {
  if (pid_ <= 0) return;
  for (ipc::LaneProducer& lane : inputs_) {
    lane.push_mark(ipc::MarkKind::end_of_stream, 0);
    lane.publish();
  }
  host_.wiring().bells[process_].ring();
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
