// SPDX-License-Identifier: Apache-2.0
// The layout: which process has which region, where in it everything lies, and which lanes join whom.
//
// A plain value computed before anything starts, the same in every process because they inherit it by fork.
// It is geometry alone: SegmentMap (segment_map.hpp) finds the memory, and control_plane.hpp has what master
// and host keep in theirs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <sluice/detail/graph.hpp>
#include <sluice/detail/index.hpp>
#include <sluice/detail/progress.hpp>
#include <sluice/ipc/segment.hpp>

#include "layout/resolved_settings.hpp"

namespace sluice::detail {

// Words at the front of every cursor area; the commit moves them with the cursors.
enum FixedWord : std::uint64_t {
  kEventsIn = 0,
  kEventsOut = 1,
  kFinished = 2,
  kDeadLetters = 3,
  kRetried = 4,
  kLastWords = 5  // Portions of the last word that have been said, and kSaidCutShort.
};
// In kLastWords, of a source that was cut short before the first of them: who goes on with the others knows it.
inline constexpr std::uint64_t kSaidCutShort = std::uint64_t{1} << 63;
// Values of kFinished. A stage has been cut short if one of those before it was: what has come to it is not all.
enum Finished : std::uint64_t {
  kNotFinished = 0,
  kCameToItsEnd = 1,
  kCutShort = 2  // A source that has an end, by a drain that came before it.
};
inline constexpr std::uint64_t kFixedWords = 16;  // One line of 128 bytes.

// What a worker keeps of its file of dead letters, in its recoverable state.
inline constexpr std::size_t kLetterStateBytes = 64;

struct LaneLayout {
  EdgeIndex edge;
  ProcessIndex producer;
  ProcessIndex consumer;
  std::size_t ring = 0;             // Of the producer's region.
  std::uint64_t producer_word = 0;  // Of tail in the producer's cursor area; ended is the next.
  std::uint64_t consumer_word = 0;  // Of head in the consumer's cursor area.
  std::uint64_t capacity_bytes = 0;
};

struct ProcessLayout {
  std::string name;  // "host", "master", "parse/0".
  NodeIndex node;    // Of a worker: its stage.
  unsigned replica = 0;
  std::vector<LaneIndex> lanes_in;
  std::vector<LaneIndex> lanes_out;
  std::uint64_t cursor_words = kFixedWords;
  std::size_t undo_bytes = 0;
  std::size_t state_bytes = 0;
  std::size_t extra_bytes = 0;  // The host's requests, the master's register, a worker's crash note.
  // Offsets into the region's plain part.
  std::size_t cursors = 0;
  std::size_t commit = 0;
  std::size_t record = 0;
  std::size_t undo = 0;
  std::size_t counters = 0;
  std::size_t latencies = 0;  // Of a worker.
  std::size_t stamps = 0;     // Of the lanes out, in their order.
  std::size_t extra = 0;
  std::size_t entries = 0;
  std::size_t page_stamps = 0;  // Of the state's pages.
  std::size_t state = 0;
  std::size_t plain_bytes = 0;
};

// One inlet or outlet of the host. Each is used by a thread of its own, so each has a record to commit by, and a
// control block in which it says that it sleeps.
struct EndLayout {
  NodeIndex node;
  std::uint64_t count_word = 0;  // Of the host's cursor area: how many events were pushed or pulled.
  std::size_t entries = 0;       // Of its record.
  // Offsets into the host's plain part.
  std::size_t control = 0;
  std::size_t commit = 0;
  std::size_t undo = 0;
  std::size_t record = 0;
};

struct Layout {
  std::vector<EndLayout> ends;
  Indexed<ProcessIndex, ProcessLayout> processes;  // Host, master, then the workers in order of stages.
  Indexed<LaneIndex, LaneLayout> lanes;

  std::size_t worker_count() const noexcept { return processes.size() - kProcessesBeforeWorkers; }
  Indices<WorkerIndex> workers() const noexcept { return Indices<WorkerIndex>{worker_count()}; }
  const ProcessLayout& worker(WorkerIndex worker) const noexcept { return processes[process_of(worker)]; }
  // How many workers run a node of the graph; 0 for an inlet or outlet.
  unsigned replicas_of(NodeIndex node) const noexcept;
};

// Throws Error for settings that give no pipeline: no stage, no workers.
Layout lay_out(const Graph& graph, const PipelineSettings& settings);
// Places the parts of all regions once more, after their sizes have changed.
void place_again(Layout& layout);
std::vector<ipc::RegionSpec> region_specs(const Layout& layout);
// Of the master's register, the workers' entries behind it, what of each lane is released, and what is in a checkpoint.
std::size_t register_bytes(const Layout& layout) noexcept;

}  // namespace sluice::detail
