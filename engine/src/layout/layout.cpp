// SPDX-License-Identifier: Apache-2.0
#include "layout/layout.hpp"

#include <algorithm>
#include <bit>

#include <fmt/format.h>

#include <sluice/detail/pages.hpp>
#include <sluice/error.hpp>
#include <sluice/state.hpp>
#include <sluice/worker.hpp>

namespace sluice::detail {
namespace {

// What the program asks for holds unless somebody has set the setting.
std::uint64_t bytes_for(const Settings& settings, const std::string& key, const std::string& stage,
                        std::uint64_t asked) {
  const bool set = settings.origin_of(key, stage).layer > Origin::profile;
  return asked != 0 && !set ? asked : settings.bytes(key, stage);
}

void add_workers(const Graph& graph, const Settings& settings, Layout& layout) {
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    const Node& node = graph.nodes[n];
    if (node.kind != NodeKind::source && node.kind != NodeKind::stage) continue;
    const std::uint64_t workers = settings.count_or_auto("workers", node.name).value_or(node.options.workers);
    if (workers == 0) {
      throw Error{{"start the stage", node.name, "it has 0 workers", "give it at least one"}};
    }
    ProcessLayout process;
    process.node = n;
    process.undo_bytes = bytes_for(settings, "undo.bytes", node.name, node.options.undo_bytes);
    process.extra_bytes = sizeof(CrashNote);
    process.state_bytes = StateArea::overhead_bytes() + round_up(sizeof(Problems), 64) + kLetterStateBytes +
                          bytes_for(settings, "state.bytes", node.name, node.options.state_bytes);
    for (std::uint64_t replica = 0; replica < workers; ++replica) {
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
std::vector<std::size_t> processes_of(const Graph& graph, const Layout& layout, std::size_t node) {
  if (graph.nodes[node].kind == NodeKind::inlet || graph.nodes[node].kind == NodeKind::outlet) {
    return {kHostProcess};
  }
  std::vector<std::size_t> found;
  for (std::size_t p = kFirstWorker; p < layout.processes.size(); ++p) {
    if (layout.processes[p].node == node) found.push_back(p);
  }
  return found;
}

std::uint64_t lane_capacity(const Graph& graph, const Settings& settings, const Edge& edge) {
  const Node& to = graph.nodes[edge.to];
  const bool stage = to.kind == NodeKind::stage;
  const std::string name = stage ? to.name : std::string{};
  std::uint64_t bytes = 0;
  if (edge.type.record) {
    bytes = bytes_for(settings, "lane.bytes", name, to.options.lane_bytes);
  } else {
    bytes = settings.count("lane.slots", name) * edge.type.bytes;
  }
  return std::bit_ceil(std::max<std::uint64_t>(bytes, kPageBytes));
}

void add_lanes(const Graph& graph, const Settings& settings, Layout& layout) {
  for (std::size_t e = 0; e < graph.edges.size(); ++e) {
    const std::uint64_t capacity = lane_capacity(graph, settings, graph.edges[e]);
    const std::vector<std::size_t> consumers = processes_of(graph, layout, graph.edges[e].to);
    for (const std::size_t from : processes_of(graph, layout, graph.edges[e].from)) {
      for (const std::size_t to : consumers) {
        ProcessLayout& producer = layout.processes[from];
        ProcessLayout& consumer = layout.processes[to];
        if (to != kHostProcess && consumer.lanes_in.size() == kMostLanesIn) {
          throw Error{{"lay out the lanes of", consumer.name,
                       fmt::format("more than {} workers would produce for it", kMostLanesIn),
                       "give the stages before it fewer workers"}};
        }
        LaneLayout lane{e, from, to, producer.lanes_out.size(), 0, 0, capacity};
        // A ProducerLine takes two lines of the cursor area, a ConsumerLine one.
        lane.producer_word = producer.cursor_words;
        producer.cursor_words += sizeof(ipc::ProducerLine) / sizeof(std::uint64_t);
        lane.consumer_word = consumer.cursor_words;
        consumer.cursor_words += sizeof(ipc::ConsumerLine) / sizeof(std::uint64_t);
        producer.lanes_out.push_back(layout.lanes.size());
        consumer.lanes_in.push_back(layout.lanes.size());
        layout.lanes.push_back(lane);
      }
    }
  }
}

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
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    if (graph.nodes[n].kind != NodeKind::inlet && graph.nodes[n].kind != NodeKind::outlet) continue;
    EndLayout end;
    end.node = n;
    end.count_word = layout.processes[kHostProcess].cursor_words;
    layout.processes[kHostProcess].cursor_words += kFixedWords;
    end.entries = 1;
    for (const LaneLayout& lane : layout.lanes) {
      const Edge& edge = graph.edges[lane.edge];
      if (edge.from == n || edge.to == n) end.entries += 2;
    }
    layout.ends.push_back(end);
  }
}

void place_ends(Layout& layout) {
  ProcessLayout& host = layout.processes[kHostProcess];
  Room take{host.plain_bytes};
  for (EndLayout& end : layout.ends) {
    end.commit = take(sizeof(ipc::CommitHeader), kLinePairBytes);
    end.undo = take(sizeof(ipc::UndoHeader), 64);
    end.record = take(end.entries * sizeof(ipc::RedoEntry), 64);
  }
  host.plain_bytes = take.at;
}

void place_parts(ProcessLayout& process) {
  Room take{sizeof(ipc::Control)};
  process.cursors = take(process.cursor_words * sizeof(std::uint64_t), kLinePairBytes);
  process.commit = take(sizeof(ipc::CommitHeader), kLinePairBytes);
  // Every cursor of the region can move in one commit.
  const std::size_t entries = kFixedWords + 2 * (process.lanes_in.size() + process.lanes_out.size());
  process.record = take(entries * sizeof(ipc::RedoEntry), 64);
  process.undo = take(sizeof(ipc::UndoHeader), 64);
  process.counters = take(sizeof(ipc::Counters), 64);
  process.extra = take(process.extra_bytes, 64);
  if (process.undo_bytes != 0) process.entries = take(process.undo_bytes, kPageBytes);
  if (process.state_bytes != 0) process.state = take(process.state_bytes, kPageBytes);
  process.plain_bytes = take.at;
}

}  // namespace

Layout lay_out(const Graph& graph, const Settings& settings) {
  Layout layout;
  layout.processes.resize(kFirstWorker);
  layout.processes[kHostProcess].name = "host";
  layout.processes[kMasterProcess].name = "master";
  add_workers(graph, settings, layout);
  layout.processes[kHostProcess].extra_bytes = sizeof(Requests);
  layout.processes[kMasterProcess].extra_bytes = register_bytes(layout);
  add_lanes(graph, settings, layout);
  add_ends(graph, layout);
  for (ProcessLayout& process : layout.processes)
    place_parts(process);
  place_ends(layout);
  return layout;
}

std::vector<ipc::RegionSpec> region_specs(const Layout& layout) {
  std::vector<ipc::RegionSpec> specs;
  for (const ProcessLayout& process : layout.processes) {
    ipc::RegionSpec spec{process.plain_bytes, {}};
    for (const std::size_t lane : process.lanes_out) {
      spec.ring_bytes.push_back(layout.lanes[lane].capacity_bytes);
    }
    specs.push_back(std::move(spec));
  }
  return specs;
}

RegionView view_of(const Layout& layout, const ipc::Segment& segment, std::size_t process) {
  const ProcessLayout& parts = layout.processes[process];
  std::byte* base = segment.plain(process).data();
  RegionView view;
  // The segment starts as zeros, which are valid values of all of these types.
  view.control = reinterpret_cast<ipc::Control*>(base);
  view.cursors = {reinterpret_cast<std::atomic<std::uint64_t>*>(base + parts.cursors), parts.cursor_words};
  view.commit = reinterpret_cast<ipc::CommitHeader*>(base + parts.commit);
  view.record = {reinterpret_cast<ipc::RedoEntry*>(base + parts.record),
                 (parts.undo - parts.record) / sizeof(ipc::RedoEntry)};
  view.undo = reinterpret_cast<ipc::UndoHeader*>(base + parts.undo);
  view.counters = reinterpret_cast<ipc::Counters*>(base + parts.counters);
  view.extra = base + parts.extra;
  view.entries = {base + parts.entries, parts.undo_bytes};
  view.state = {base + parts.state, parts.state_bytes};
  return view;
}

ipc::LaneMemory lane_memory(const Layout& layout, const ipc::Segment& segment, std::size_t lane) {
  const LaneLayout& parts = layout.lanes[lane];
  const ipc::RingView ring = segment.ring(parts.producer, parts.ring);
  const RegionView producer = view_of(layout, segment, parts.producer);
  const RegionView consumer = view_of(layout, segment, parts.consumer);
  return {reinterpret_cast<ipc::ProducerLine*>(&producer.cursors[parts.producer_word]),
          reinterpret_cast<ipc::ConsumerLine*>(&consumer.cursors[parts.consumer_word]), ring.data,
          ring.capacity_bytes};
}

Requests& requests_of(const Layout& layout, const ipc::Segment& segment) {
  return *reinterpret_cast<Requests*>(view_of(layout, segment, kHostProcess).extra);
}

std::size_t register_bytes(const Layout& layout) noexcept {
  return round_up(sizeof(MasterRegister), 64) + layout.worker_count() * sizeof(WorkerEntry);
}

MasterRegister& register_of(const Layout& layout, const ipc::Segment& segment) {
  return *reinterpret_cast<MasterRegister*>(view_of(layout, segment, kMasterProcess).extra);
}

WorkerEntry& entry_of(const Layout& layout, const ipc::Segment& segment, std::size_t worker) {
  std::byte* base = view_of(layout, segment, kMasterProcess).extra + round_up(sizeof(MasterRegister), 64);
  return reinterpret_cast<WorkerEntry*>(base)[worker];
}

CrashNote& crash_note_of(const Layout& layout, const ipc::Segment& segment, std::size_t process) {
  return *reinterpret_cast<CrashNote*>(view_of(layout, segment, process).extra);
}

const std::atomic<std::uint32_t>* shed_word_of(const Layout& layout, const ipc::Segment& segment,
                                               std::size_t process) {
  return process < kFirstWorker ? nullptr : &entry_of(layout, segment, process - kFirstWorker).shed;
}

}  // namespace sluice::detail
