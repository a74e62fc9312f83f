// SPDX-License-Identifier: Apache-2.0
#include "worker/retry.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/pages.hpp>
#include <sluice/error.hpp>
#include <sluice/ipc/framing.hpp>

#include "layout/wiring.hpp"
#include "worker/poison.hpp"
#include "worker/run_mark.hpp"

namespace sluice::detail {
namespace {

std::optional<NodeIndex> stage_named(const Graph& graph, const std::string& name) {
  for (const NodeIndex node : graph.nodes.indices()) {
    if (graph.nodes[node].kind == NodeKind::stage && graph.nodes[node].name == name) return node;
  }
  return std::nullopt;
}

[[noreturn]] void refuse(const DeadLetter& letter, const std::string& why, const std::string& remedy) {
  throw Error{{"retry the dead letter of", fmt::format("{}/{}", letter.stage, letter.replica), why, remedy}};
}

void check_letter(const Graph& graph, const Layout& layout, const DeadLetter& letter) {
  const std::optional<NodeIndex> stage = stage_named(graph, letter.stage);
  if (!stage) refuse(letter, "this pipeline has no such stage", "retry it with the pipeline it is from");
  const unsigned workers = layout.replicas_of(*stage);
  if (workers != letter.replicas) {
    refuse(letter, fmt::format("the stage had {} workers and has {} now", letter.replicas, workers),
           fmt::format("set stage.{}.workers={}, so that it gets to the worker with its state", letter.stage,
                       letter.replicas));
  }
  const EventType& type = graph.edge_to(*stage).type;
  if (!letter.record && letter.payload.size() != letter.head_bytes) {
    refuse(letter, "it does not hold its event whole", "leave it out");
  }
  if (type.record != letter.record || type.bytes != letter.head_bytes || type.name != letter.type) {
    refuse(letter, fmt::format("it holds a {} and the stage takes {}", letter.type, type.name),
           "retry it with a pipeline whose stage takes such events");
  }
}

// What a worker keeps of the letters that this start of the pipeline retries.
struct RetryRun {
  RunMark mark;
  std::uint64_t start = 0;        // Which start that is.
  std::uint64_t done_before = 0;  // Letters that earlier ones have retried.
};

// A start is known by its host and by what it is to retry.
std::uint64_t start_of(const Wiring& wiring, const std::string& path) {
  // relaxed: stored before any worker was made.
  const auto host = static_cast<std::uint64_t>(wiring.host().control().pid.load(std::memory_order_relaxed));
  return std::hash<std::string>{}(path) ^ host << 32U;
}

}  // namespace

void check_retry(const Graph& graph, const Layout& layout, const std::string& path) {
  if (path.empty()) return;
  for (const DeadLetter& letter : find_dead_letters(path)) {
    if (letter.retried_by == 0) check_letter(graph, layout, letter);
  }
}

Retry::Retry(Worker& worker, const Wiring& wiring, WorkerIndex index, std::uint64_t done) : done_{done} {
  const std::string& path = wiring.settings().retry_path;
  if (path.empty()) return;
  const RetryRun fresh{new_run_mark(), start_of(wiring, path), done};
  auto run = worker.state<RetryRun>("sluice.retry_run", fresh);
  // Nothing has been retried by a start that has not committed this yet, so that it may be drawn again.
  if (run->start != fresh.start) run.set(fresh);
  base_ = run->done_before;
  marks_->number = run->mark.number;
  const ProcessLayout& layout = wiring.layout().worker(index);
  for (DeadLetter& letter : find_dead_letters(path)) {
    if (letter.stage != wiring.stage(index) || letter.replica != layout.replica) continue;
    // What this start has marked is in the list of a replacement too: `done` counts it.
    if (letter.retried_by != 0 && letter.retried_by != marks_->number) continue;
    const auto time = std::chrono::duration_cast<std::chrono::nanoseconds>(letter.time.time_since_epoch());
    if (time.count() < run->mark.time_ns) letters_.push_back(std::move(letter));
  }
  if (pending()) worker.before_commit([&worker, marks = marks_] { mark(worker, *marks); });
}

void Retry::pass() {
  DeadLetter& due = marks_->due.emplace_back();
  due.file = letter().file;
  due.offset = letter().offset;
  ++done_;
}

void Retry::mark(Worker& worker, Marks& marks) {
  for (const DeadLetter& letter : std::exchange(marks.due, {})) {
    if (mark_retried(letter, marks.number)) continue;
    worker.report(fmt::format("a dead letter in {} was retried and could not be marked so: {}",
                              letter.file.string(), errno_text()));
  }
}

ipc::LaneConsumer Retry::present() {
  const DeadLetter& letter = this->letter();
  const std::size_t stride =
      letter.record ? ipc::record_stride(letter.payload.size()) : static_cast<std::size_t>(letter.head_bytes);
  const std::size_t capacity = std::bit_ceil(std::max(stride, kPageBytes));
  // The ring is not mapped twice in a row, but may be written as if it were; and it begins with a page.
  memory_.assign(2 * capacity + kPageBytes, std::byte{0});
  void* start = memory_.data();
  std::size_t room = memory_.size();
  auto* const ring = static_cast<std::byte*>(std::align(kPageBytes, 2 * capacity, start, room));
  std::byte* at = ring + (position() & (capacity - 1));
  if (letter.record) {
    const std::uint64_t bytes = letter.payload.size();
    std::memcpy(at, &bytes, sizeof(bytes));
    at += ipc::kRecordHeaderBytes;
  }
  std::memcpy(at, letter.payload.data(), letter.payload.size());
  // relaxed: no other process sees it.
  producer_.tail.store(position() + stride, std::memory_order_relaxed);
  consumer_.head.store(position(), std::memory_order_relaxed);
  return ipc::LaneConsumer{{&producer_, &consumer_, ring, capacity}};
}

}  // namespace sluice::detail
