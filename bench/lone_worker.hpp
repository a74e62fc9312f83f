// SPDX-License-Identifier: Apache-2.0
// One worker of the engine in a process of its own, with the other ends of its lanes in the hands of the
// benchmark: its neighbours cost what a lane costs and no more, so that what is measured is the worker.
//
// The process runs run_worker(), as every worker does, or a loop of the benchmark's own over the same lanes
// in the same segment. There is no master: it would sleep.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <sys/types.h>
#include <vector>

#include <sluice/detail/graph.hpp>
#include <sluice/ipc/lane.hpp>
#include <sluice/settings.hpp>

#include "host/host.hpp"

namespace sluice::bench {

using namespace detail;

// The unit of the worker; the benchmark itself is on 0.
inline constexpr unsigned kWorkerUnit = 1;
// What is not there after this long does not come.
inline constexpr std::chrono::seconds kHopeless{10};

class LoneWorker {
 public:
  using Instead = std::function<void(ipc::LaneConsumer&, ipc::LaneProducer&)>;

  // `worker` is the worker's name ("echo/0"). With `instead` that runs in its place, over the first of its
  // lanes in and out, until the end of the stream. Throws Error when it does not become ready.
  LoneWorker(const Graph& graph, const Settings& settings, const std::string& worker,
             const Instead& instead = {});
  ~LoneWorker();
  LoneWorker(const LoneWorker&) = delete;
  LoneWorker& operator=(const LoneWorker&) = delete;

  std::vector<ipc::LaneProducer>& inputs() noexcept { return inputs_; }
  std::vector<ipc::LaneConsumer>& outputs() noexcept { return outputs_; }

  // As committed until now.
  std::uint64_t events_in() const noexcept {
    return memory().cursors()[kEventsIn].load(std::memory_order_relaxed);  // relaxed: a count.
  }
  // A piece of its state, or nullptr.
  const std::byte* state_piece(std::string_view name, std::size_t bytes) const noexcept {
    return StateArea::find(memory().state(), name, bytes);
  }

 private:
  void await_readiness();
  WorkerMemory memory() const noexcept { return host_.wiring().worker(worker_); }

  Host host_;
  WorkerIndex worker_;
  pid_t pid_ = -1;
  std::vector<ipc::LaneProducer> inputs_;
  std::vector<ipc::LaneConsumer> outputs_;
};

// A wait that spins and has an end: false once kHopeless has passed.
template <class Ready>
bool spin_until(Ready&& ready) {
  constexpr std::uint64_t kLooksPerClock = std::uint64_t{1} << 16;
  for (std::uint64_t looks = 1; !ready(); ++looks) {
    ipc::relax();
    if (looks % kLooksPerClock != 0) continue;
    static thread_local std::chrono::steady_clock::time_point since;
    if (looks == kLooksPerClock) since = std::chrono::steady_clock::now();
    if (std::chrono::steady_clock::now() - since > kHopeless) return false;
  }
  return true;
}

}  // namespace sluice::bench
