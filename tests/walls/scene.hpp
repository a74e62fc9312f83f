// SPDX-License-Identifier: Apache-2.0
// A pipeline in one process whose workers die at chosen moments: their regions can be looked at, damaged and
// taken over again, a hundred thousand times a minute. The host's ends, the lanes, the worker loops and the
// recovery are those of the engine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <sluice/sluice.hpp>

#include "engine/pipelines.hpp"
#include "host/host.hpp"
#include "worker/worker_loop.hpp"
#include "worker/worker_process.hpp"

namespace sluice::test {

using namespace detail;

// A copy of every byte of a segment.
using Image = std::vector<std::vector<std::byte>>;

// host -> split -> two workers `count`, by records -> host; split -> host as well. All kinds of lanes, of
// neighbours and of state are there.
class Scene final : public Waiter {
 public:
  // Nobody can go on, and nobody has said why.
  struct Stuck {};

  Scene();
  ~Scene() override;

  Host& host() noexcept { return host_; }
  const Wiring& wiring() const noexcept { return host_.wiring(); }
  ProcessIndex process(const std::string& name) const;
  std::span<std::byte> part(ProcessIndex process, std::size_t offset, std::size_t bytes) const;

  Image image() const;
  void restore(const Image& image);

  // New objects over the regions as they are: the ends of the host, and every worker but `dead`. What the
  // outlets gave is forgotten, and the numbers of the items that are pushed begin anew.
  void reopen(ProcessIndex dead);
  // The replacement of `process`, with its recovery. Throws what its process would end with.
  void take_over(ProcessIndex process);

  void push(std::uint32_t count);
  // A batch of everybody who is not in the midst of one, and a look at the outlets; false: nothing to do.
  bool turn();
  // Until the end of the stream has passed everybody, in a bounded number of turns. Throws Stuck.
  void finish();
  // The worker's own next batch.
  WorkerLoop::Step step(ProcessIndex process) { return loops_[process]->step(); }

  // Called in the handler of `split` in the midst of each event, before each of its commits, and when it
  // waits for room.
  std::function<void()> in_event;
  std::function<void()> before_commit;
  std::function<void()> in_wait;

  const std::vector<Item>& odd() const noexcept { return odd_; }
  const std::vector<Counted>& counted() const noexcept { return counted_; }

  // How often a worker has let events gather; and whether it may.
  int gathered() const noexcept { return gathered_; }
  bool may_gather = true;

  ipc::Woken wait_until(const std::function<bool()>& ready, std::chrono::nanoseconds bound) override;
  bool gathers() const noexcept override { return may_gather; }
  void let_gather() noexcept override { ++gathered_; }
  void pause(std::chrono::nanoseconds) override {}

 private:
  void poll();

  Host host_;
  // Ends of the host that belong to the image, and not to the first opening of the segment.
  std::unique_ptr<HostInlet> inlet_;
  std::vector<std::unique_ptr<HostOutlet>> outlets_;
  Indexed<ProcessIndex, std::unique_ptr<WorkerLoop>> loops_;
  Indexed<ProcessIndex, char> running_;  // 1: in the midst of a batch.
  std::vector<Item> odd_;
  std::vector<Counted> counted_;
  std::uint32_t pushed_ = 0;
  int gathered_ = 0;
};

}  // namespace sluice::test
