// SPDX-License-Identifier: Apache-2.0
#include "worker/retry.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>
#include <sluice/detail/pages.hpp>
#include <sluice/error.hpp>
#include <sluice/ipc/framing.hpp>

#include "graph/shown_type.hpp"
#include "layout/wiring.hpp"
#include "worker/letters_there.hpp"
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

[[noreturn]] void refuse_path(const std::string& path, const std::string& why) {
  throw Error{{"retry the dead letters in", path, why, "check poison.retry"}};
}

void check_letter(const Graph& graph, const Layout& layout, const DeadLetter& letter) {
  const std::optional<NodeIndex> stage = stage_named(graph, letter.stage);
  if (!stage) refuse(letter, "this pipeline has no such stage", "retry it with the pipeline it is from");
  const unsigned workers = layout.replicas_of(*stage);
  if (workers != letter.replicas) {
    refuse(letter,
           fmt::format("the stage had {} and has {} now", counted(letter.replicas, "worker"), workers),
           fmt::format("set stage.{}.workers={}, so that it gets to the worker with its state", letter.stage,
                       letter.replicas));
  }
  const EventType& type = graph.edge_to(*stage).type;
  if (!letter.record && letter.payload.size() != letter.head_bytes) {
    refuse(letter, "it does not hold its event whole", "leave it out");
  }
  if (type.record != letter.record || type.bytes != letter.head_bytes || type.name != letter.type) {
    refuse(
        letter,
        fmt::format("it holds a {} and the stage takes {}", shown_type(letter.type), shown_type(type.name)),
        "retry it with a pipeline whose stage takes such events");
  }
}

// What a worker keeps of the letters that this start of the pipeline retries.
struct RetryRun {
  RunMark mark;
  std::uint64_t start = 0;        // Which start that is.
  std::uint64_t done_before = 0;  // Letters that earlier ones have retried.
};

// Where that start has them from, kept beside it: a later one may take them from elsewhere.
struct RetryPath {
  std::uint32_t number = 0;  // RunMark::number.
  char text[1020] = {};
};

RetryPath path_of(const RetryRun& run, const std::string& path) {
  RetryPath kept;
  kept.number = run.mark.number;
  path.copy(kept.text, sizeof(kept.text) - 1);
  return kept;
}

// The same for every way to write it. What /proc/self/fd names may have no other path.
std::string whole_path(const std::string& path) {
  std::error_code error;
  std::filesystem::path whole = std::filesystem::weakly_canonical(path, error);
  if (error) whole = std::filesystem::absolute(path, error).lexically_normal();
  if (error || whole.native().size() >= sizeof(RetryPath::text))
    refuse_path(path, error ? error.message() : "its whole path is too long");
  return whole.string();
}

// A start is known by its number, above, and by what it is to retry.
std::uint64_t start_of(const Wiring& wiring, const std::string& path) {
  return std::uint64_t{wiring.start()} << 32U | static_cast<std::uint32_t>(std::hash<std::string>{}(path));
}

// Letters by what their events were called the first time. Those of the former form have no name.
class ByFirstName {
 public:
  explicit ByFirstName(std::vector<DeadLetter>& letters) : letters_{letters} {}

  void add(std::size_t index) {
    const EventId name = name_of(letters_[index]);
    if (name != EventId{}) known_.emplace(std::pair{name.origin, name.position}, index);
  }
  // Of the same event with the same bytes, the first for which `is_it`; nullptr: none.
  template <class IsIt>
  DeadLetter* find(const DeadLetter& letter, IsIt&& is_it) const {
    const EventId name = name_of(letter);
    const auto [from, to] = known_.equal_range({name.origin, name.position});
    const auto found = std::find_if(from, to, [&](const auto& each) {
      const DeadLetter& other = letters_[each.second];
      return other.payload == letter.payload && is_it(other);
    });
    return found == to ? nullptr : &letters_[found->second];
  }

 private:
  static const EventId& name_of(const DeadLetter& letter) noexcept {
    return letter.first_event != EventId{} ? letter.first_event : letter.event;
  }

  std::vector<DeadLetter>& letters_;
  std::multimap<std::pair<std::uint64_t, std::uint64_t>, std::size_t> known_;  // By origin and position.
};

// Grows with each retry that has failed.
unsigned tries_of(const DeadLetter& letter) noexcept {
  return letter.first_event != EventId{} ? letter.attempts : 0;
}

// A letter that was copied, by export and import say, is one: retried if any copy was. One that was mended is another, and so is what
// became of it when it was retried.
std::vector<DeadLetter> without_copies(std::vector<DeadLetter> letters) {
  std::vector<DeadLetter> kept;
  kept.reserve(letters.size());
  ByFirstName known{kept};
  for (DeadLetter& letter : letters) {
    DeadLetter* const original =
        known.find(letter, [&](const DeadLetter& other) { return tries_of(other) == tries_of(letter); });
    if (original != nullptr) {
      if (original->retried_by == 0) original->retried_by = letter.retried_by;
      continue;
    }
    kept.push_back(std::move(letter));
    known.add(kept.size() - 1);
  }
  return kept;
}

// For which of them others stand that were there when this start began: of the same events, and retried more often.
std::vector<bool> superseded(const std::vector<DeadLetter>& letters, std::vector<DeadLetter>& found,
                             std::int64_t begun_ns) {
  ByFirstName known{found};
  for (std::size_t i = 0; i < found.size(); ++i)
    known.add(i);
  std::vector<bool> superseded;
  superseded.reserve(letters.size());
  for (const DeadLetter& letter : letters) {
    superseded.push_back(known.find(letter, [&](const DeadLetter& other) {
      return tries_of(other) > tries_of(letter) && other.order_ns < begun_ns;
    }) != nullptr);
  }
  return superseded;
}

std::vector<DeadLetter> letters_for(const Wiring& wiring, WorkerIndex index, const std::string& path) {
  const unsigned replica = wiring.layout().worker(index).replica;
  std::vector<DeadLetter> letters;
  each_dead_letter(path, [&](DeadLetter letter) {
    if (letter.stage == wiring.stage(index) && letter.replica == replica)
      letters.push_back(std::move(letter));
  });
  return without_copies(std::move(letters));
}

// What this start has marked is in the list of a replacement too: the count of those that are done has it.
std::vector<DeadLetter> letters_of(const RetryRun& run, std::vector<DeadLetter> found) {
  std::erase_if(found, [&](const DeadLetter& letter) {
    if (letter.retried_by != 0 && letter.retried_by != run.mark.number) return true;
    return letter.order_ns >= run.mark.time_ns;
  });
  return found;
}

// Whether the files do not say what the restored state does of an earlier start with the same path: letters that it
// holds are not marked yet, or more are marked than it holds. Its list is gone on with then; later letters stand behind.
bool goes_on(const RetryRun& before, const RetryRun& fresh, const std::vector<DeadLetter>& found) {
  // The lower half is of the path alone: start_of().
  if (static_cast<std::uint32_t>(before.start) != static_cast<std::uint32_t>(fresh.start)) return false;
  const std::vector<DeadLetter> letters = letters_of(before, found);
  const std::uint64_t held = fresh.done_before - before.done_before;
  if (held > letters.size()) return false;
  for (std::size_t i = 0; i < letters.size(); ++i) {
    if ((letters[i].retried_by != 0) != (i < held)) return true;
  }
  return false;
}

// An earlier start has retried letters from another path, and the restored state holds that: those that are not marked yet are,
// or they were retried once more. Whether there were any. Throws Error where that state may be lost still: it is in the file of the
// memory, and perhaps in no checkpoint.
bool mark_earlier(const Wiring& wiring, WorkerIndex index, const RetryRun& before, std::uint64_t done,
                  const RetryPath& kept) {
  if (kept.number != before.mark.number || done == before.done_before) return false;
  const std::string from = kept.text;
  std::error_code error;
  if (!std::filesystem::exists(from, error)) return false;
  std::vector<DeadLetter> letters = letters_of(before, letters_for(wiring, index, from));
  letters.resize(std::min<std::uint64_t>(letters.size(), done - before.done_before));
  std::erase_if(letters, [](const DeadLetter& letter) { return letter.retried_by != 0; });
  if (!letters.empty() && wiring.segment().named() && !wiring.settings().checkpoints.path.empty()) {
    refuse(letters.front(),
           fmt::format("an earlier start has retried those in {}, and no checkpoint may hold it yet", from),
           fmt::format("retry with poison.retry={} until there is a checkpoint", from));
  }
  for (const DeadLetter& letter : letters) {
    if (!mark_retried(letter, before.mark.number))
      refuse_path(letter.file.string(), "what was retried cannot be marked so: " + errno_text());
  }
  return !letters.empty();
}

DeadLetter place_of(const DeadLetter& letter) {
  DeadLetter place;
  place.file = letter.file;
  place.offset = letter.offset;
  return place;
}

}  // namespace

void check_retry(const Graph& graph, const Layout& layout, const std::string& path) {
  if (path.empty()) return;
  each_dead_letter(path, [&](const DeadLetter& letter) {
    if (letter.retried_by == 0) check_letter(graph, layout, letter);
  });
}

Retry::Retry(Worker& worker, const Wiring& wiring, WorkerIndex index, std::uint64_t done,
             const WhenSafe& when_safe)
    : done_{done} {
  const std::string& given = wiring.settings().retry_path;
  if (given.empty()) return;
  const std::string path = whole_path(given);
  std::vector<DeadLetter> found = letters_for(wiring, index, given);
  RetryRun fresh{new_run_mark(), start_of(wiring, path), done};
  // All that is here is of before this start, though the clock was set back since.
  if (!found.empty()) fresh.mark.time_ns = std::max(fresh.mark.time_ns, found.back().order_ns + 1);
  auto run = worker.state<RetryRun>("sluice.retry_run", fresh);
  std::optional<Recoverable<RetryPath>> from;
  if (wiring.kept())
    from.emplace(worker.state<RetryPath>("sluice.retry_path",
                                         run->start == fresh.start ? path_of(*run, path) : RetryPath{}));
  // Nothing has been retried by a start that has not committed this yet, so that it may be drawn again.
  if (run->start != fresh.start) {
    RetryRun next = fresh;
    if (goes_on(*run, fresh, found)) {
      next.mark.number = run->mark.number;
      next.done_before = run->done_before;
    } else if (from && mark_earlier(wiring, index, *run, done, **from)) {
      found = letters_for(wiring, index, given);
    }
    run.set(next);
    if (from) from->set(path_of(next, path));
  }
  base_ = run->done_before;
  marks_->number = run->mark.number;
  begun_ns_ = run->mark.time_ns;
  letters_ = letters_of(*run, found);
  superseded_ = superseded(letters_, found, begun_ns_);
  // A predecessor was gone before it could mark these.
  Marks left{marks_->number};
  for (std::size_t i = 0; i < letters_.size() && i < done - base_; ++i) {
    if (letters_[i].retried_by == 0) left.due.push_back(place_of(letters_[i]));
  }
  if (!left.due.empty()) when_safe(0, [&worker, left = std::move(left)] { mark(worker, left); });
  if (!pending()) return;
  worker.before_commit([&worker, marks = marks_, when_safe] {
    if (marks->due.empty()) return;
    when_safe(1,
              [&worker, made = Marks{marks->number, std::exchange(marks->due, {})}] { mark(worker, made); });
  });
}

void Retry::pass() {
  marks_->due.push_back(place_of(letter()));
  ++done_;
}

void Retry::mark(Worker& worker, const Marks& marks) {
  for (const DeadLetter& letter : marks.due) {
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
