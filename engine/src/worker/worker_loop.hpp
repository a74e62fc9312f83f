// SPDX-License-Identifier: Apache-2.0
// The worker loop: reads events, runs the handler, commits.
//
// One object a worker, in the worker's process and thread; or, for run_inline, all workers of a pipeline in
// one thread. It takes a region over as it stands: recovery comes first, always.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include <sluice/detail/batch.hpp>
#include <sluice/detail/graph.hpp>
#include <sluice/detail/output_port.hpp>
#include <sluice/detail/runner.hpp>
#include <sluice/detail/state_area.hpp>
#include <sluice/worker.hpp>

#include "layout/layout.hpp"
#include "layout/standstill.hpp"
#include "layout/wiring.hpp"
#include "ports/input_port.hpp"
#include "ports/waiter.hpp"
#include "worker/lane_scheduler.hpp"
#include "worker/poison.hpp"
#include "worker/retry.hpp"

namespace sluice::detail {

class WorkerLoop final : private Producer {
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

 private:
  // Of a Producer, for a full lane.
  bool gives_up(const OutLane& lane) const noexcept override;
  void lost(Lost why) noexcept override;
  void publish_before_event() override;
  void wait_for_room(const std::function<bool()>& ready) override;

  const Wiring& take_over();
  void resume();
  std::uint64_t consume_batch();
  std::uint64_t handle_events(std::size_t index, std::uint64_t limit);
  void divert(std::size_t index);
  std::uint64_t retry_letter();
  std::uint64_t produce_batch();
  std::uint64_t note_ends();
  void say_last_word();
  void abandon_event() noexcept;
  bool anything_to_commit() const noexcept;
  void commit_batch();
  void store_commit(bool whole);
  void ring_neighbours();
  // At a commit, or between the events of one: waits as long as the master asks for a standstill.
  void stand_still();
  bool asked_to_stand() const noexcept { return asks_to_stand(standstill_of(master_)); }
  void set_activity(ipc::Activity activity) noexcept;
  void note_first_event() noexcept;

  const Wiring& wiring_;
  WorkerIndex index_;
  const Node& node_;
  Waiter& waiter_;
  const MasterRegister& master_;
  WorkerMemory memory_;
  ipc::UndoLog log_;
  ipc::Commit commit_;
  Work work_;
  // Made once the region is recovered: take_over().
  InputPort in_;
  OutputPort out_;
  LaneScheduler lane_scheduler_;
  std::vector<std::size_t> looked_at_;  // Of the inputs, in this batch.
  StateArea area_;
  Poison poison_;
  std::optional<Retry> retry_;
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
