// SPDX-License-Identifier: Apache-2.0
// A worker and everything around it, as far as the worker can see: its segment, its master and its
// neighbours.
//
// The workload's pipeline is laid out as for any run. The test's process plays all other processes of it: it
// feeds the input lanes, takes what comes out, and knows what the master knows. The worker itself is real: in
// a child, or in this process to see what a replacement makes of a copy.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host/host.hpp"
#include "worker/worker_loop.hpp"
#include "workload.hpp"

namespace sluice::test {

using namespace detail;

// What the neighbours have taken from the lanes out, and how far they have fed the lanes in.
struct Neighbours {
  std::array<std::uint64_t, kInputs> fed{};
  std::array<bool, kInputs> closed{};
  std::array<std::vector<std::string>, kOutputs> taken;
  std::array<bool, kOutputs> ended{};
  std::uint64_t waits = 0;  // Of the worker.
  std::uint64_t rounds = 0;
  std::vector<std::byte> state;  // The worker's, when the last round ended.
  bool in_an_event = false;      // And whether it was, then: what it had noted it does not stamp again.
  std::string wrong;             // What had changed since and a checkpoint would not have copied.
};

class Scene {
 public:
  explicit Scene(const Script& script);

  const Script& script() const noexcept { return script_; }
  const Wiring& wiring() const noexcept { return host_.wiring(); }
  static constexpr WorkerIndex kWorkload{0};
  WorkerMemory view() const { return wiring().worker(kWorkload); }
  const ipc::Doorbell& bell() const { return wiring().bell(kWorkload); }
  const Neighbours& neighbours() const noexcept { return neighbours_; }

  // The worker waits: every second time its neighbours do something about it, once it is for nothing.
  void attend();
  // Input that has room, and the end of the stream behind the last item.
  void feed();
  // Takes everything that is published.
  void take();

  // The whole segment, the neighbours' knowledge and the file.
  void copy_from(const Scene& other);
  // All that the worker writes.
  std::vector<std::byte> region() const;
  bool region_is(const std::vector<std::byte>& bytes) const noexcept;

  // Where the worker's cursors stand: events in and out, finished, then those of its lanes.
  std::vector<std::uint64_t> cursors() const;
  // How many items of a lane are consumed, or made; more than there are if the cursor stands within one.
  std::uint64_t consumed(std::size_t lane) const;
  // The payloads that a lane out has carried since the beginning, and whether its stream has ended.
  std::vector<std::string> published(std::size_t output, bool& ended) const;
  std::string lane_problems() const;
  // What the worker appends to, its file or that of its dead letters; empty for none.
  std::filesystem::path file() const;
  std::uint64_t file_bytes() const;
  void truncate_file(std::uint64_t bytes) const;

 private:
  std::size_t inputs() const noexcept {
    if (script_.source) return 0;
    return script_.alone ? 1 : kInputs;
  }
  ipc::LaneMemory input(std::size_t lane) const;
  ipc::LaneMemory output(std::size_t lane) const;
  void feed_lane(std::size_t lane);
  // As the master does for the checkpointer: asks for a standstill, and once the worker stands a round is over.
  void ask_or_release();
  void end_round();
  // After a copy.
  void know_file(const std::filesystem::path& file);
  // What a master knows of events that have killed their worker.
  void blame_poison();

  Script script_;
  Host host_;
  Neighbours neighbours_;
  std::array<std::vector<std::uint64_t>, kInputs> positions_;  // After each item.
};

// What a process of the worker does from its fork on, before it has a loop: it takes the region for itself.
void begin_life(const Scene& scene);

// The neighbours act in the same thread whenever the worker waits.
class Attended final : public Waiter {
 public:
  // `before` is called first.
  explicit Attended(Scene& scene, std::function<void()> before = {})
      : scene_{scene}, before_{std::move(before)} {}
  ipc::Woken wait_until(const std::function<bool()>& ready, std::chrono::nanoseconds bound) override;
  void pause(std::chrono::nanoseconds) override {}

 private:
  Scene& scene_;
  std::function<void()> before_;
};

}  // namespace sluice::test
