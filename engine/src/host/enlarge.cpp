// SPDX-License-Identifier: Apache-2.0
#include "host/enlarge.hpp"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>
#include <vector>

#include <sluice/error.hpp>
#include <sluice/ipc/commit.hpp>
#include <sluice/ipc/segment_shape.hpp>
#include <sluice/units.hpp>

#include "layout/segment_map.hpp"
#include "layout/shape.hpp"
#include "state/table_growth.hpp"

namespace sluice::detail {
namespace {

std::vector<std::string_view> lines_in(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    lines.push_back(text.substr(0, text.find('\n')));
    text.remove_prefix(std::min(lines.back().size() + 1, text.size()));
  }
  return lines;
}

// The size between `before` and `after` in a line; nothing when it does not look like that, or is larger than `most`.
std::optional<std::uint64_t> size_in(std::string_view line, std::string_view before, std::string_view after,
                                     std::uint64_t most) {
  const std::size_t at = line.find(before);
  if (at == std::string_view::npos) return std::nullopt;
  line.remove_prefix(at + before.size());
  const auto parsed = parse_bytes(line.substr(0, after.empty() ? line.size() : line.find(after)));
  if (!parsed.ok() || parsed.value > most) return std::nullopt;
  return parsed.value;
}

// Takes the rows of tables in a line over from the file, if it has fewer or each table had its own.
bool take_rows(const Graph& graph, std::string_view line, std::string_view in_file,
               PipelineSettings& settings) {
  for (const NodeIndex node : graph.nodes.indices()) {
    const std::string subject = "table.rows of " + graph.nodes[node].name + ": ";
    std::optional<std::uint64_t>& rows = settings.nodes[node].table_rows;
    if (!line.starts_with(subject) || !in_file.starts_with(subject) || !rows) continue;
    in_file.remove_prefix(subject.size());
    const auto former = parse_count(in_file);
    if (in_file == "auto") {
      rows.reset();
    } else if (former.ok() && former.value < *rows) {
      rows = former.value;
    } else {
      return false;
    }
    return true;
  }
  return false;
}

// One part of a region, at its places in both.
void copy_part(std::span<std::byte> to, std::size_t to_offset, std::span<const std::byte> from,
               std::size_t from_offset, std::size_t bytes) {
  if (bytes != 0) std::memcpy(to.data() + to_offset, from.data() + from_offset, bytes);
}

void copy_region(const ProcessLayout& now, std::span<std::byte> to, const ProcessLayout& then,
                 std::span<const std::byte> from) {
  copy_part(to, 0, from, 0, sizeof(ipc::Control));
  copy_part(to, now.cursors, from, then.cursors, then.cursor_words * sizeof(std::uint64_t));
  copy_part(to, now.commit, from, then.commit, sizeof(ipc::CommitHeader));
  copy_part(to, now.record, from, then.record, then.undo - then.record);
  copy_part(to, now.undo, from, then.undo, sizeof(ipc::UndoHeader));
  copy_part(to, now.counters, from, then.counters, sizeof(ipc::Counters));
  copy_part(to, now.stamps, from, then.stamps, then.lanes_out.size() * sizeof(LaneStamps));
  if (then.latencies != 0) copy_part(to, now.latencies, from, then.latencies, sizeof(Latencies));
  copy_part(to, now.extra, from, then.extra, then.extra_bytes);
  copy_part(to, now.entries, from, then.entries, then.undo_bytes);
  copy_part(to, now.state, from, then.state, then.state_bytes);
}

void copy_ends(const Layout& now, std::span<std::byte> to, const Layout& then,
               std::span<const std::byte> from) {
  for (std::size_t end = 0; end < then.ends.size(); ++end) {
    const EndLayout& new_end = now.ends[end];
    const EndLayout& old_end = then.ends[end];
    copy_part(to, new_end.commit, from, old_end.commit, sizeof(ipc::CommitHeader));
    copy_part(to, new_end.undo, from, old_end.undo, sizeof(ipc::UndoHeader));
    copy_part(to, new_end.record, from, old_end.record, old_end.entries * sizeof(ipc::RedoEntry));
  }
}

// All that the old ring can hold from its head on: a tail that is recorded and not stored yet lies in it.
void copy_ring(std::span<std::byte> to, std::span<const std::byte> from, std::uint64_t head) {
  for (std::uint64_t done = 0; done < from.size();) {
    const std::uint64_t offset = (head + done) & (from.size() - 1);
    const std::uint64_t to_offset = (head + done) & (to.size() - 1);
    const std::uint64_t bytes = std::min({from.size() - offset, from.size() - done, to.size() - to_offset});
    std::memcpy(to.data() + to_offset, from.data() + offset, bytes);
    done += bytes;
  }
}

void copy_everything(const Layout& now, const ipc::Segment& to, const Layout& then,
                     const ipc::Segment& from) {
  for (const ProcessIndex process : now.processes.indices())
    copy_region(now.processes[process], to.plain(process.value()), then.processes[process],
                from.plain(process.value()));
  copy_ends(now, to.plain(kHostProcess.value()), then, from.plain(kHostProcess.value()));
  const SegmentMap new_map{now, to};
  const SegmentMap old_map{then, from};
  for (const LaneIndex lane : now.lanes.indices())
    copy_ring(new_map.ring(lane), old_map.ring(lane),
              old_map.lane(lane).consumer->head.load(std::memory_order_relaxed));
}

// The state of a worker whose tables have more rows now: what is left of its last batch is undone before, since the undo
// log says where things are.
void grow_tables(const ProcessMemory& worker, std::size_t former_bytes, std::uint64_t rows,
                 const std::string& stage) {
  ipc::UndoLog log{worker.undo(), worker.undo_entries(), worker.state()};
  ipc::Commit commit{worker.commit(), worker.record(), worker.cursors(), log};
  if (!commit.recover()) {
    throw Error{{"make the tables larger of", worker.name(), "its commit record or undo log is corrupt",
                 "start the pipeline anew"}};
  }
  const std::span<std::byte> state = worker.state();
  const std::span<const std::byte> former = state.first(former_bytes);
  const std::vector<std::byte> copy{former.begin(), former.end()};
  std::fill(state.begin(), state.end(), std::byte{0});
  copy_with_larger_tables(copy, state, rows, stage);
}

void grow_all_tables(const Graph& graph, const Layout& now, const PipelineSettings& settings,
                     const Former& former, const ipc::Segment& segment) {
  const SegmentMap map{now, segment};
  for (const WorkerIndex worker : now.workers()) {
    const NodeIndex node = now.worker(worker).node;
    const std::optional<std::uint64_t> rows = settings.nodes[node].table_rows;
    if (!rows || rows == former.settings.nodes[node].table_rows) continue;
    grow_tables(map.process(process_of(worker)), former.layout.worker(worker).state_bytes, *rows,
                graph.nodes[node].name);
  }
}

}  // namespace

std::optional<Former> smaller_former(const Graph& graph, const Layout& layout,
                                     const PipelineSettings& settings, const std::string& kept) {
  const std::string shape = shape_of(graph, layout, settings);
  const std::vector<std::string_view> today = lines_in(shape);
  const std::vector<std::string_view> then = lines_in(kept);
  const std::size_t sized = layout.lanes.size() + layout.processes.size();
  if (today.size() != then.size() || today.size() < sized) return std::nullopt;
  // The lines of lanes and regions are the last ones, in the order of the layout.
  const std::size_t before = today.size() - sized;
  Former former{layout, settings};
  for (std::size_t line = 0; line < before; ++line) {
    if (today[line] != then[line] && !take_rows(graph, today[line], then[line], former.settings))
      return std::nullopt;
  }
  std::size_t at = before;
  for (LaneLayout& lane : former.layout.lanes) {
    const auto capacity = size_in(then[at++], ": ", "", lane.capacity_bytes);
    if (!capacity) return std::nullopt;
    lane.capacity_bytes = *capacity;
  }
  for (ProcessLayout& process : former.layout.processes) {
    const std::string_view line = then[at++];
    const auto state = size_in(line, "state of ", ", undo log", process.state_bytes);
    const auto undo = size_in(line, "undo log of ", ",", process.undo_bytes);
    if (!state || !undo) return std::nullopt;
    process.state_bytes = *state;
    process.undo_bytes = *undo;
  }
  place_again(former.layout);
  // Whatever was not understood shows here.
  if (shape_of(graph, former.layout, former.settings) != kept) return std::nullopt;
  return former;
}

void bring_over(const Graph& graph, const Layout& layout, const PipelineSettings& settings,
                const ipc::Segment& to, const Former& former, const ipc::Segment& from) {
  copy_everything(layout, to, former.layout, from);
  grow_all_tables(graph, layout, settings, former, to);
}

void enlarge_segment(const Graph& graph, const Layout& layout, const PipelineSettings& settings,
                     const std::string& path) {
  const std::optional<std::string> in_file = ipc::shape_in_file(path);
  const std::string shape = shape_of(graph, layout, settings);
  if (!in_file || *in_file == shape) return;
  const std::optional<Former> former = smaller_former(graph, layout, settings, *in_file);
  if (!former) return;
  ipc::Segment old{graph.name, region_specs(former->layout), {path, *in_file}};
  if (!old.open()) return;
  const std::string enlarged = path + ".enlarged";
  // What a start left behind that died in the midst of this.
  std::error_code none;
  std::filesystem::remove(enlarged, none);
  ipc::Segment fresh{graph.name, region_specs(layout), {enlarged, shape}};
  fresh.open();
  fresh.prefault();
  fresh.own_everything();
  try {
    bring_over(graph, layout, settings, fresh, *former, old);
  } catch (...) {
    fresh.remove_file();
    throw;
  }
  std::error_code error;
  std::filesystem::rename(enlarged, path, error);
  if (error) {
    fresh.remove_file();
    throw Error{{"enlarge the segment", path, error.message(), "start with the sizes that it has"}};
  }
}

}  // namespace sluice::detail
