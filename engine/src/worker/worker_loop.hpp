// SPDX-License-Identifier: Apache-2.0
// The worker loop: reads events, runs the handler, commits.
//
// One object a worker, in the worker's process and thread; or, for run_inline, all workers of a pipeline in
// one thread. It takes a region over as it stands: recovery comes first, always.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <sluice/graph.hpp>
#include <sluice/ipc/doorbell.hpp>
#include <sluice/ipc/waiting.hpp>
#include <sluice/runner.hpp>
#include <sluice/settings.hpp>
#include <sluice/worker.hpp>

#include "layout/layout.hpp"
#include "layout/wiring.hpp"
#include "worker/lane_scheduler.hpp"
#include "worker/poison.hpp"
#include "worker/retry.hpp"

namespace sluice::detail {

// A wait for input or room looks again after this, should nobody ring.
inline constexpr std::chrono::seconds kLongestWait{1};

// The consuming end of one lane, with what its owner needs around it.
struct InLane {
  ipc::LaneConsumer lane;
  std::uint64_t word = 0;  // Of head in the region's cursor area.
  const ipc::Control* producer = nullptr;
  const ipc::Doorbell* bell = nullptr;
  ProcessIndex from;  // The process that produces it.
  bool ended = false;
  bool touched = false;
  const std::atomic<std::uint32_t>* shed = nullptr;  // As in OutLane, of its producer.

  // Its producer is shed, and everything that it had published is read: nothing follows.
  bool producer_shed() noexcept {
    // [entry.shed] acquire: all that it had published; pairs with ExitHandler::shed().
    return shed != nullptr && shed->load(std::memory_order_acquire) != 0 && lane.readable() == 0 &&
           !lane.at_stop();
  }
};

// The lanes of a process, as it sees them. `process` is that of the caller.
std::vector<InLane> input_lanes(const Wiring& wiring, ProcessIndex process);
std::deque<OutLane> output_lanes(const Wiring& wiring, ProcessIndex process);

// How a worker waits: blocked on its doorbell, or by running its neighbours in the same thread.
class Waiter {
 public:
  virtual ~Waiter() = default;
  // Returns when `ready`, or after a while.
  virtual ipc::Woken wait_until(const std::function<bool()>& ready, std::chrono::nanoseconds bound) = 0;
  // A pause, for whoever has nothing to look at meanwhile: not longer than `limit`.
  virtual void pause(std::chrono::nanoseconds limit) = 0;
};

class WorkerLoop final : public Work {
 public:
  enum class Step { worked, nothing, finished };

  // Recovers the region and constructs the handler. Throws Error when the region is not sound, and whatever
  // the handler's constructor throws.
  WorkerLoop(const Wiring& wiring, WorkerIndex worker, Waiter& waiter);

  // One batch, if there is input. Whatever the handler throws comes out, after the event in question has been
  // rolled back and those before it are committed.
  Step step();
  // Waits for input, not longer than the policy's bound.
  void wait_for_input();

  bool input_ready();
  bool finished() const noexcept { return finished_; }

  std::byte* make_room(OutLane& lane, std::uint64_t bytes) override;

 private:
  void connect_outputs();
  void resume();
  std::uint64_t consume_batch();
  std::uint64_t look_at(std::size_t index, std::uint64_t limit);
  void touch(InLane& input) {
    if (input.touched) return;
    input.touched = true;
    touched_inputs_.push_back(&input);  // Reserved for every lane before the start.
  }
  using Work::touch;
  bool ready(InLane& input) const noexcept;
  void divert(std::size_t index);
  std::uint64_t retry_letter();
  std::uint64_t produce_batch();
  std::uint64_t note_ends();
  bool ends(InLane& input, bool host_is_gone);
  void say_last_word();
  void end_outputs();
  void abandon_event() noexcept;
  bool anything_to_commit() const noexcept;
  void commit_batch();
  void split_commit();
  void store_commit(bool split);
  void ring_neighbours();
  bool abandoned(const OutLane& out) const noexcept;
  [[noreturn]] void refuse_lane(const OutLane& out) const;
  void set_activity(ipc::Activity activity) noexcept;
  void note_first_event() noexcept;
  const std::string& consumer_name(const OutLane& lane) const;

  const Wiring& wiring_;
  WorkerIndex index_;
  const Node& node_;
  Waiter& waiter_;
  const MasterRegister& master_;
  WorkerMemory memory_;
  ipc::UndoLog log_;
  ipc::Commit commit_;
  std::vector<InLane> inputs_;
  LaneScheduler lane_scheduler_;
  std::vector<std::size_t> looked_at_;  // Of the inputs, in this batch.
  std::vector<InLane*> touched_inputs_;
  std::size_t ended_inputs_ = 0;
  std::deque<OutLane> outputs_;
  StateArea area_;
  Poison poison_;
  std::optional<Retry> retry_;
  Ports ports_;
  std::unique_ptr<Worker> worker_;
  std::unique_ptr<Runner> runner_;
  std::uint64_t batch_events_;
  std::uint64_t committed_in_ = 0;
  std::uint64_t committed_out_ = 0;
  std::uint64_t dead_letters_ = 0;
  bool source_idle_ = false;
  bool input_ended_ = false;
  bool finished_ = false;
  bool first_event_noted_ = false;
};

}  // namespace sluice::detail
