// SPDX-License-Identifier: Apache-2.0
#include "layout/layout.hpp"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include <sluice/detail/assert.hpp>
#include <sluice/detail/pages.hpp>
#include <sluice/detail/problems.hpp>
#include <sluice/error.hpp>
#include <sluice/ipc/commit.hpp>
#include <sluice/ipc/counters.hpp>
#include <sluice/ipc/lane.hpp>
#include <sluice/ipc/page_stamps.hpp>
#include <sluice/ipc/undo.hpp>
#include <sluice/state.hpp>

#include "death/crash_note.hpp"
#include "layout/control_plane.hpp"
#include "layout/latency.hpp"
#include "layout/layout_check.hpp"

namespace sluice::detail {
namespace {

void add_workers(const Graph& graph, const PipelineSettings& settings, Layout& layout) {
  if (graph.nodes.size() > kMostNodes) {
    throw Error{{"start the pipeline", graph.name,
                 fmt::format("it has {} stages, sources, inlets and outlets", graph.nodes.size()),
                 fmt::format("make it of at most {}: its events' ids have no room for more", kMostNodes)}};
  }
  for (const NodeIndex n : graph.nodes.indices()) {
    const Node& node = graph.nodes[n];
    if (node.kind != NodeKind::source && node.kind != NodeKind::stage) continue;
    const StageSettings& stage = settings.nodes[n];
    if (stage.workers == 0) {
      throw Error{{"start the stage", node.name, "it has 0 workers", "give it at least one"}};
    }
    if (stage.workers > kMostReplicas) {
      throw Error{{"start the stage", node.name, fmt::format("it has {} workers", stage.workers),
                   fmt::format("give it at most {}: its events' ids have no room for more", kMostReplicas)}};
    }
    ProcessLayout process;
    process.node = n;
    process.undo_bytes = stage.undo_bytes;
    process.extra_bytes = sizeof(CrashNote);
    process.state_bytes =
        StateArea::overhead_bytes() + round_up(sizeof(Problems), 64) + kLetterStateBytes + stage.state_bytes;
    for (std::uint64_t replica = 0; replica < stage.workers; ++replica) {
      process.name = fmt::format("{}/{}", node.name, replica);
      process.replica = static_cast<unsigned>(replica);
      layout.processes.push_back(process);
    }
  }
  if (layout.worker_count() == 0) {
    throw Error{{"start the pipeline", graph.name, "it has no stage", "add one with to<Handler>(name)"}};
  }
}

// The processes that run a node: its workers, or the host for an inlet or outlet.
std::vector<ProcessIndex> processes_of(const Graph& graph, const Layout& layout, NodeIndex node) {
  const NodeKind kind = graph.nodes[node].kind;
  if (kind == NodeKind::inlet || kind == NodeKind::outlet) return {kHostProcess};
  std::vector<ProcessIndex> found;
  for (const WorkerIndex worker : layout.workers()) {
    if (layout.worker(worker).node == node) found.push_back(process_of(worker));
  }
  return found;
}

std::uint64_t lane_capacity(const StageSettings& consumer, const EventType& type) {
  const std::uint64_t bytes = type.record ? consumer.lane_bytes : consumer.lane_slots * type.bytes;
  return std::bit_ceil(std::max<std::uint64_t>(bytes, kPageBytes));
}

void add_lanes(const Graph& graph, const PipelineSettings& settings, Layout& layout) {
  for (const EdgeIndex e : graph.edges.indices()) {
    const Edge& edge = graph.edges[e];
    const std::uint64_t capacity = lane_capacity(settings.nodes[edge.to], edge.type);
    const std::vector<ProcessIndex> consumers = processes_of(graph, layout, edge.to);
    for (const ProcessIndex from : processes_of(graph, layout, edge.from)) {
      for (const ProcessIndex to : consumers) {
        ProcessLayout& producer = layout.processes[from];
        ProcessLayout& consumer = layout.processes[to];
        if (to != kHostProcess && consumer.lanes_in.size() == kMostLanesIn) {
          throw Error{{"lay out the lanes of", consumer.name,
                       fmt::format("more than {} workers would produce for it", kMostLanesIn),
                       "give the stages before it fewer workers"}};
        }
        LaneLayout lane{e, from, to, producer.lanes_out.size(), 0, 0, capacity};
        lane.producer_word = producer.cursor_words;
        producer.cursor_words += sizeof(ipc::ProducerLine) / sizeof(std::uint64_t);
        lane.consumer_word = consumer.cursor_words;
        consumer.cursor_words += sizeof(ipc::ConsumerLine) / sizeof(std::uint64_t);
        const LaneIndex added = layout.lanes.push_back(lane);
        producer.lanes_out.push_back(added);
        consumer.lanes_in.push_back(added);
      }
    }
  }
}

// Words of a lane that one commit can move: the consumer's head; the producer's tail and its end.
constexpr std::size_t kWordsIn = 1;
constexpr std::size_t kWordsOut = 2;

// Takes room one after the other.
struct Room {
  std::size_t at = 0;

  std::size_t operator()(std::size_t bytes, std::size_t alignment) {
    at = round_up(at, alignment);
    const std::size_t offset = at;
    at += bytes;
    return offset;
  }
};

void add_ends(const Graph& graph, Layout& layout) {
  for (const NodeIndex n : graph.nodes.indices()) {
    if (graph.nodes[n].kind != NodeKind::inlet && graph.nodes[n].kind != NodeKind::outlet) continue;
    EndLayout end;
    end.node = n;
    end.count_word = layout.processes[kHostProcess].cursor_words;
    layout.processes[kHostProcess].cursor_words += kFixedWords;
    end.entries = 1;
    for (const LaneLayout& lane : layout.lanes) {
      const Edge& edge = graph.edges[lane.edge];
      if (edge.from == n) end.entries += kWordsOut;
      if (edge.to == n) end.entries += kWordsIn;
    }
    layout.ends.push_back(end);
  }
}

void place_ends(Layout& layout) {
  ProcessLayout& host = layout.processes[kHostProcess];
  Room take{host.plain_bytes};
  for (EndLayout& end : layout.ends) {
    end.control = take(sizeof(ipc::Control), kLinePairBytes);
    end.commit = take(sizeof(ipc::CommitHeader), kLinePairBytes);
    end.undo = take(sizeof(ipc::UndoHeader), 64);
    end.record = take(end.entries * sizeof(ipc::RedoEntry), 64);
  }
  host.plain_bytes = take.at;
}

void place_parts(ProcessLayout& process, bool worker) {
  Room take{sizeof(ipc::Control)};
  process.cursors = take(process.cursor_words * sizeof(std::uint64_t), kLinePairBytes);
  process.commit = take(sizeof(ipc::CommitHeader), kLinePairBytes);
  // Every cursor of the region can move in one commit.
  const std::size_t entries =
      kFixedWords + kWordsIn * process.lanes_in.size() + kWordsOut * process.lanes_out.size();
  process.record = take(entries * sizeof(ipc::RedoEntry), 64);
  process.undo = take(sizeof(ipc::UndoHeader), 64);
  process.counters = take(sizeof(ipc::Counters), 64);
  process.stamps = take(process.lanes_out.size() * sizeof(LaneStamps), kLinePairBytes);
  if (worker) process.latencies = take(sizeof(Latencies), 64);
  process.extra = take(process.extra_bytes, 64);
  if (process.undo_bytes != 0) process.entries = take(process.undo_bytes, kPageBytes);
  if (process.state_bytes != 0) {
    process.page_stamps =
        take(ipc::page_stamps_for(process.state_bytes) * sizeof(ipc::PageStamp), kLinePairBytes);
    process.state = take(process.state_bytes, kPageBytes);
  }
  process.plain_bytes = take.at;
}

}  // namespace

unsigned Layout::replicas_of(NodeIndex node) const noexcept {
  unsigned replicas = 0;
  for (const WorkerIndex each : workers())
    replicas += worker(each).node == node ? 1U : 0U;
  return replicas;
}

void place_again(Layout& layout) {
  for (const ProcessIndex process : layout.processes.indices())
    place_parts(layout.processes[process], is_worker(process));
  place_ends(layout);
}

Layout lay_out(const Graph& graph, const PipelineSettings& settings) {
  if (graph.name.empty())
    throw Error{{"name a pipeline", "''", "its name is empty", "give it one: commands and reports go by it"}};
  Layout layout;
  layout.processes.resize(kProcessesBeforeWorkers);
  layout.processes[kHostProcess].name = "host";
  layout.processes[kMasterProcess].name = "master";
  add_workers(graph, settings, layout);
  layout.processes[kHostProcess].extra_bytes = sizeof(Requests);
  add_lanes(graph, settings, layout);
  add_ends(graph, layout);
  // Once all is known that it has words for.
  layout.processes[kMasterProcess].extra_bytes = register_bytes(layout);
  place_again(layout);
  SLUICE_ASSERT(fault_of_layout(layout).empty());
  return layout;
}

std::vector<ipc::RegionSpec> region_specs(const Layout& layout) {
  std::vector<ipc::RegionSpec> specs;
  for (const ProcessLayout& process : layout.processes) {
    // What other processes look at, and what core dumps hold, lies before the state.
    const std::size_t before_state = process.state_bytes == 0 ? process.plain_bytes : process.state;
    ipc::RegionSpec spec{process.plain_bytes, {}, before_state};
    for (const LaneIndex lane : process.lanes_out) {
      spec.ring_bytes.push_back(layout.lanes[lane].capacity_bytes);
    }
    specs.push_back(std::move(spec));
  }
  return specs;
}

}  // namespace sluice::detail
