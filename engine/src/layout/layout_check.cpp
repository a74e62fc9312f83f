// SPDX-License-Identifier: Apache-2.0
#include "layout/layout_check.hpp"

#include <algorithm>
#include <bit>
#include <vector>

#include <fmt/format.h>

#include <sluice/detail/pages.hpp>
#include <sluice/ipc/commit.hpp>
#include <sluice/ipc/control.hpp>
#include <sluice/ipc/counters.hpp>
#include <sluice/ipc/lane.hpp>
#include <sluice/ipc/page_stamps.hpp>
#include <sluice/ipc/undo.hpp>

#include "layout/latency.hpp"

namespace sluice::detail {
namespace {

// Far below where a sum of sizes could wrap.
constexpr std::size_t kMostBytes = std::size_t{1} << 46;

// A run of bytes of a region, or of words of its cursors.
struct Part {
  const char* name;
  std::size_t offset;
  std::size_t size;
  std::size_t alignment;
};

// `whole`: how many bytes or words there are. Empty when the parts lie side by side within them.
std::string fault_of_parts(std::vector<Part> parts, std::size_t whole, const std::string& of) {
  if (whole > kMostBytes) return fmt::format("{} has {} bytes", of, whole);
  std::erase_if(parts, [](const Part& part) { return part.size == 0; });
  std::sort(parts.begin(), parts.end(), [](const Part& a, const Part& b) { return a.offset < b.offset; });
  const Part* before = nullptr;
  for (const Part& part : parts) {
    if (part.size > whole || part.offset > whole - part.size)
      return fmt::format("the {} of {} reaches beyond its end", part.name, of);
    if (part.offset % part.alignment != 0) return fmt::format("the {} of {} is not aligned", part.name, of);
    if (before != nullptr && part.offset < before->offset + before->size)
      return fmt::format("the {} of {} overlaps its {}", part.name, of, before->name);
    before = &part;
  }
  return {};
}

std::string fault_of_region(const Layout& layout, ProcessIndex index) {
  const ProcessLayout& process = layout.processes[index];
  std::vector<Part> parts{
      {"control block", 0, sizeof(ipc::Control), 1},
      {"cursor area", process.cursors, process.cursor_words * sizeof(std::uint64_t), kLinePairBytes},
      {"commit header", process.commit, sizeof(ipc::CommitHeader), kLinePairBytes},
      {"record", process.record, process.undo - process.record, alignof(ipc::RedoEntry)},
      {"undo header", process.undo, sizeof(ipc::UndoHeader), alignof(ipc::UndoHeader)},
      {"counters", process.counters, sizeof(ipc::Counters), alignof(ipc::Counters)},
      {"stamps", process.stamps, process.lanes_out.size() * sizeof(LaneStamps), alignof(LaneStamps)},
      {"latencies", process.latencies, is_worker(index) ? sizeof(Latencies) : 0, alignof(Latencies)},
      {"extra part", process.extra, index == kMasterProcess ? register_bytes(layout) : process.extra_bytes,
       64},
      {"undo log", process.entries, process.undo_bytes, kPageBytes},
      {"page stamps", process.page_stamps, ipc::page_stamps_for(process.state_bytes) * sizeof(ipc::PageStamp),
       kLinePairBytes},
      {"state", process.state, process.state_bytes, kPageBytes}};
  if (index == kHostProcess) {
    for (const EndLayout& end : layout.ends) {
      parts.push_back({"control block of an end", end.control, sizeof(ipc::Control), kLinePairBytes});
      parts.push_back({"commit header of an end", end.commit, sizeof(ipc::CommitHeader), kLinePairBytes});
      parts.push_back({"undo header of an end", end.undo, sizeof(ipc::UndoHeader), alignof(ipc::UndoHeader)});
      parts.push_back({"record of an end", end.record, end.entries * sizeof(ipc::RedoEntry), 64});
    }
  }
  return fault_of_parts(std::move(parts), process.plain_bytes, process.name);
}

// The lines of a process's lanes, and the words that its ends count with.
std::string fault_of_cursors(const Layout& layout, ProcessIndex index) {
  const ProcessLayout& process = layout.processes[index];
  constexpr std::size_t kLine = kLinePairBytes / sizeof(std::uint64_t);
  static_assert(sizeof(ipc::ProducerLine) == kLinePairBytes && sizeof(ipc::ConsumerLine) == kLinePairBytes);
  std::vector<Part> parts{{"fixed words", 0, kFixedWords, kLine}};
  for (const LaneIndex lane : process.lanes_out)
    parts.push_back({"line of a lane out", layout.lanes[lane].producer_word, kLine, kLine});
  for (const LaneIndex lane : process.lanes_in)
    parts.push_back({"line of a lane in", layout.lanes[lane].consumer_word, kLine, kLine});
  if (index == kHostProcess) {
    for (const EndLayout& end : layout.ends)
      parts.push_back({"count of an end", end.count_word, kFixedWords, kLine});
  }
  return fault_of_parts(std::move(parts), process.cursor_words, process.name + "'s cursors");
}

std::string fault_of_lane(const Layout& layout, LaneIndex index) {
  const LaneLayout& lane = layout.lanes[index];
  const std::string name = fmt::format("lane {}", index.value());
  const std::size_t processes = layout.processes.size();
  if (lane.producer.value() >= processes || lane.consumer.value() >= processes)
    return name + " joins a process that there is not";
  const std::vector<LaneIndex>& out = layout.processes[lane.producer].lanes_out;
  if (lane.ring >= out.size() || out[lane.ring] != index) return name + " has another lane's ring";
  const std::vector<LaneIndex>& in = layout.processes[lane.consumer].lanes_in;
  if (std::count(in.begin(), in.end(), index) != 1) return name + " is not listed by its consumer";
  if (!std::has_single_bit(lane.capacity_bytes) || lane.capacity_bytes < kPageBytes)
    return fmt::format("{} has a capacity of {} bytes", name, lane.capacity_bytes);
  return {};
}

// Of what a process lists; that it is listed is fault_of_lane()'s.
std::string fault_of_lists(const Layout& layout, ProcessIndex index) {
  const ProcessLayout& process = layout.processes[index];
  const auto knows = [&layout](LaneIndex lane) { return lane.value() < layout.lanes.size(); };
  for (const LaneIndex lane : process.lanes_out) {
    if (!knows(lane) || layout.lanes[lane].producer != index)
      return process.name + " lists a lane out that is another's";
  }
  for (const LaneIndex lane : process.lanes_in) {
    if (!knows(lane) || layout.lanes[lane].consumer != index)
      return process.name + " lists a lane in that is another's";
  }
  return {};
}

}  // namespace

std::string fault_of_layout(const Layout& layout) {
  for (const auto check : {fault_of_lists, fault_of_region, fault_of_cursors}) {
    for (const ProcessIndex process : layout.processes.indices()) {
      if (std::string fault = check(layout, process); !fault.empty()) return fault;
    }
  }
  for (const LaneIndex lane : layout.lanes.indices()) {
    if (std::string fault = fault_of_lane(layout, lane); !fault.empty()) return fault;
  }
  return {};
}

}  // namespace sluice::detail
