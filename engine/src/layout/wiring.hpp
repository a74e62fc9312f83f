// SPDX-License-Identifier: Apache-2.0
// The wiring: what every process of a pipeline has in common, fixed before the first fork.
#pragma once

#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include <sluice/checkpoint_shipper.hpp>
#include <sluice/detail/clock.hpp>
#include <sluice/detail/graph.hpp>
#include <sluice/ipc/doorbell.hpp>
#include <sluice/ipc/segment.hpp>

#include "layout/resolved_settings.hpp"
#include "layout/segment_map.hpp"

namespace sluice::detail {

// Of every process, and of every inlet and outlet of the host: each of these is used by a thread of its own, and a
// ring for one must not be taken by another. The host's own bell says that the pipeline is over, no more.
struct Doorbells {
  explicit Doorbells(const Layout& layout) : processes(layout.processes.size()), ends(layout.ends.size()) {}

  // In a process that was executed: those that have been made.
  Doorbells() = default;

  Indexed<ProcessIndex, ipc::Doorbell> processes;
  std::vector<ipc::Doorbell> ends;  // In the order of Layout::ends.
};

// What a lane's one side asks the other: whether it sleeps; and how it wakes it.
struct Sleeper {
  const ipc::Control* control;
  const ipc::Doorbell* bell;
};

struct CheckpointTip;
struct ExecutedStart;

class Wiring : public SegmentMap {
 public:
  // All of them must outlive it. `reports` is the directory for reports and dead letters, made when needed.
  Wiring(const Graph& graph, const Layout& layout, const PipelineSettings& settings, ipc::Segment& segment,
         const Doorbells& bells, const std::filesystem::path& reports) noexcept
      : SegmentMap{layout, segment},
        graph_{graph},
        settings_{settings},
        segment_{segment},
        bells_{bells},
        reports_{reports},
        start_{static_cast<std::uint32_t>(monotonic_now().count())} {}

  const Graph& graph() const noexcept { return graph_; }
  const Node& node(NodeIndex node) const noexcept { return graph_.nodes[node]; }
  const Node& node(WorkerIndex worker) const noexcept { return node(layout().worker(worker).node); }
  const std::string& stage(WorkerIndex worker) const noexcept { return node(worker).name; }
  const Edge& edge(const LaneLayout& lane) const noexcept { return graph_.edges[lane.edge]; }

  const PipelineSettings& settings() const noexcept { return settings_; }
  const StageSettings& settings(NodeIndex node) const noexcept { return settings_.nodes[node]; }
  const StageSettings& settings(WorkerIndex worker) const noexcept {
    return settings(layout().worker(worker).node);
  }
  const std::filesystem::path& reports() const noexcept { return reports_; }
  // Of this start of the pipeline, the same in all of its processes. A pid would not do: in a container each start has the same.
  std::uint32_t start() const noexcept { return start_; }
  // What its consumer has to wait for: nothing of the lane is read that no checkpoint holds. nullptr: for nothing.
  const std::atomic<std::uint64_t>* gate_of(LaneIndex lane) const noexcept {
    return waits_for_checkpoints(edge(layout().lanes[lane]).to) ? &released(lane) : nullptr;
  }
  // How many commits of a worker, and events of an inlet, a checkpoint holds, if what is told of them has to wait for that.
  // nullptr: for nothing.
  const std::atomic<std::uint64_t>* telling_of(WorkerIndex worker) const noexcept {
    return waits_for_checkpoints(layout().worker(worker).node) ? &checkpointed(worker) : nullptr;
  }
  const std::atomic<std::uint64_t>* telling_of(NodeIndex inlet) const noexcept {
    return waits_for_checkpoints(inlet) ? &checkpointed(inlet) : nullptr;
  }
  // A later life can go on with it: in the file of its memory, or in its checkpoints.
  bool kept() const noexcept { return segment_.named() || !settings_.checkpoints.path.empty(); }

  // Called by the checkpointer for each checkpoint; none: each counts once it is published. Set before the first fork.
  const CheckpointShipper& shipper() const noexcept { return shipper_; }
  void ship_checkpoints(CheckpointShipper shipper) { shipper_ = std::move(shipper); }
  // The checkpoint that the segment was restored from; null: none. Set before the first fork.
  const std::shared_ptr<const CheckpointTip>& restored_from() const noexcept { return restored_from_; }
  void restored_from(std::shared_ptr<const CheckpointTip> tip) { restored_from_ = std::move(tip); }

  // What replacements that are executed have to be told; null: there are none. Set before the first fork.
  const std::shared_ptr<const ExecutedStart>& executed_start() const noexcept { return executed_start_; }
  void executed_start(std::shared_ptr<const ExecutedStart> start) { executed_start_ = std::move(start); }
  // Whether the replacements of a node's workers are executed, not forked alone.
  bool executes(NodeIndex node) const noexcept {
    return executed_start_ != nullptr && graph_.nodes[node].options.hostile_input;
  }
  bool executes(WorkerIndex worker) const noexcept { return executes(layout().worker(worker).node); }
  // In a replacement that was executed: the start that it belongs to.
  void started_at(std::uint32_t start) noexcept { start_ = start; }

  ipc::Segment& segment() const noexcept { return segment_; }
  // From now on this process may write the region of `process` and no other byte of the segment.
  void own(ProcessIndex process) const { segment_.own(process.value()); }

  // For who produces or consumes: this process has the lane's ring from now on. Throws Error.
  ipc::LaneMemory map_lane(LaneIndex lane) const {
    const LaneLayout& parts = layout().lanes[lane];
    segment_.map_ring(parts.producer.value(), parts.ring);
    return SegmentMap::lane(lane);
  }

  const ipc::Doorbell& bell(ProcessIndex process) const noexcept { return bells_.processes[process]; }
  const ipc::Doorbell& bell(WorkerIndex worker) const noexcept { return bell(process_of(worker)); }
  const Doorbells& bells() const noexcept { return bells_; }
  const ipc::Doorbell& end_bell(NodeIndex inlet_or_outlet) const noexcept;
  void ring_all() const noexcept;
  // All that share a lane with it.
  void ring_neighbours_of(WorkerIndex worker) const noexcept;
  // Who waits at the ends of a lane: a worker, or an inlet or outlet of the host.
  Sleeper producer_of(const LaneLayout& lane) const noexcept {
    return sleeper(lane.producer, edge(lane).from);
  }
  Sleeper consumer_of(const LaneLayout& lane) const noexcept { return sleeper(lane.consumer, edge(lane).to); }

 private:
  bool waits_for_checkpoints(NodeIndex node) const noexcept {
    return settings(node).after_checkpoint && !settings_.checkpoints.path.empty();
  }
  Sleeper sleeper(ProcessIndex process, NodeIndex node) const noexcept;

  const Graph& graph_;
  const PipelineSettings& settings_;
  ipc::Segment& segment_;
  const Doorbells& bells_;
  const std::filesystem::path& reports_;
  std::uint32_t start_;
  CheckpointShipper shipper_;
  std::shared_ptr<const CheckpointTip> restored_from_;
  std::shared_ptr<const ExecutedStart> executed_start_;
};

}  // namespace sluice::detail
