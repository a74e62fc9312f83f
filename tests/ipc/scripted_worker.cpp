// SPDX-License-Identifier: Apache-2.0
#include "scripted_worker.hpp"

#include <cstring>

namespace sluice::ipc::test {
namespace {

// The words of the worker's cursor area; a ProducerLine and a ConsumerLine lie in it as they are.
constexpr std::size_t kWorkerRegion = 0;
constexpr std::size_t kFeederRegion = 1;
constexpr std::uint64_t kOutputWord = 0;
constexpr std::uint64_t kInputWord = sizeof(ProducerLine) / 8;
constexpr std::uint64_t kEventsWord = kInputWord + sizeof(ConsumerLine) / 8;
constexpr std::uint64_t kCursorWords = kEventsWord + 16;
constexpr std::size_t kUndoBytes = 1024;
constexpr std::size_t kRecordEntries = 8;

struct WorkerPlain {
  alignas(128) std::array<std::atomic<std::uint64_t>, kCursorWords> cursors;
  CommitHeader commit;
  alignas(64) std::array<RedoEntry, kRecordEntries> record;
  UndoHeader undo;
  alignas(64) std::array<std::byte, kUndoBytes> entries;
  alignas(64) std::array<std::byte, sizeof(ScriptedState)> state;
};

constexpr std::uint64_t mix(std::uint64_t value) noexcept {
  value = (value ^ (value >> 31)) * 0x9e3779b97f4a7c15;
  return value ^ (value >> 29);
}

// The input is the numbers 1, 2, 3 ...; some of them leave the state alone.
constexpr bool leaves_state(std::uint64_t number) noexcept {
  return number % 10 == 0;
}

// The script repeats itself every twelve events.
constexpr std::uint64_t place_of(std::uint64_t number) noexcept {
  return (number - 1) % 12 + 1;
}
// All events of a batch change the same and nothing else.
constexpr bool changes_sum_alone(std::uint64_t number) noexcept {
  const std::uint64_t place = place_of(number);
  return 2 <= place && place <= 4;
}

void change(ScriptedState& state, std::uint64_t number) noexcept {
  state.sum += mix(number);
  if (changes_sum_alone(number)) return;
  ScriptedRow& row = state.rows[number % 3];
  row = {row.count + 1, number, mix(row.mixed ^ number)};
  for (std::size_t i = 0; i < state.odd.size(); ++i)
    state.odd[i] = static_cast<char>(mix(number + i));
}

struct Output {
  std::array<std::uint64_t, 4> words;
  std::uint64_t bytes;
};

// An event makes one record, every third of them two; their bytes show the state that they were made from.
constexpr std::uint64_t outputs_of(std::uint64_t number) noexcept {
  return number % 3 == 0 ? 2 : 1;
}
Output make_output(const ScriptedState& state, std::uint64_t number, std::uint64_t index) noexcept {
  return {{number, state.sum, state.rows[number % 3].mixed, index}, 8 + mix(number + index) % 25};
}

constexpr bool ends_batch(std::uint64_t number) noexcept {
  const std::uint64_t place = place_of(number);
  return place == 1 || place == 4 || place == 7 || place == 9 || place == 10 || place == 12;
}
// Commits what came before it when it is half done: 5 first in its batch, 6 and 7 in one batch, 12 last.
constexpr bool splits(std::uint64_t number) noexcept {
  const std::uint64_t place = place_of(number);
  return place == 5 || place == 6 || place == 7 || place == 12;
}
// Is tried once, given up, and tried again.
constexpr bool fails_first(std::uint64_t number) noexcept {
  return place_of(number) == 8;
}

WorkerPlain& plain_of(const ScriptedSegment& segment) {
  return *reinterpret_cast<WorkerPlain*>(segment.segment().plain(kWorkerRegion).data());
}
LaneMemory input_of(const ScriptedSegment& segment) {
  const RingView ring = segment.segment().ring(kFeederRegion, 0);
  return {reinterpret_cast<ProducerLine*>(segment.segment().plain(kFeederRegion).data()),
          reinterpret_cast<ConsumerLine*>(&plain_of(segment).cursors[kInputWord]), ring.data,
          ring.capacity_bytes};
}
// Nobody reads the output: its lane has room for everything.
LaneMemory output_of(const ScriptedSegment& segment) {
  const RingView ring = segment.segment().ring(kWorkerRegion, 0);
  return {reinterpret_cast<ProducerLine*>(&plain_of(segment).cursors[kOutputWord]),
          reinterpret_cast<ConsumerLine*>(segment.segment().plain(kFeederRegion).data() + 1024), ring.data,
          ring.capacity_bytes};
}

template <class T>
std::string difference(const char* what, const T& is, const T& should) {
  if (is == should) return {};
  return std::string{what} + " is " + std::to_string(is) + " and should be " + std::to_string(should);
}

}  // namespace

void ScriptedResult::apply(std::uint64_t number) {
  if (!leaves_state(number)) change(state, number);
  for (std::uint64_t i = 0; i < outputs_of(number); ++i) {
    const Output made = make_output(state, number, i);
    output.append(reinterpret_cast<const char*>(&made.bytes), sizeof(made.bytes));
    output.append(reinterpret_cast<const char*>(&made.words), made.bytes);
    output.resize(output.size() + record_stride(made.bytes) - kRecordHeaderBytes - made.bytes);
  }
  ++events;
}

ScriptedSegment::ScriptedSegment(const ScriptedSizes& sizes) : sizes_{sizes} {
  const std::array specs{RegionSpec{sizeof(WorkerPlain), {sizes.output_bytes}},
                         RegionSpec{2048, {sizes.input_bytes}}};
  segment_ = std::make_unique<Segment>("scripted", specs);
  segment_->prefault();
  segment_->own(kFeederRegion);
  LaneProducer feeder{input_of(*this)};
  for (std::uint64_t number = 1; number <= sizes.events; ++number) {
    std::memcpy(feeder.reserve(sizeof(number)), &number, sizeof(number));
    feeder.advance(sizeof(number));
  }
  feeder.end();
  feeder.publish();
  segment_->own(kWorkerRegion);
}

std::vector<std::byte> ScriptedSegment::worker_bytes() const {
  const std::span<std::byte> plain = segment_->plain(kWorkerRegion);
  const RingView ring = segment_->ring(kWorkerRegion, 0);
  std::vector<std::byte> bytes(plain.begin(), plain.end());
  bytes.insert(bytes.end(), ring.data, ring.data + ring.capacity_bytes);
  return bytes;
}

void ScriptedSegment::set_worker_bytes(const std::vector<std::byte>& bytes) {
  const std::span<std::byte> plain = segment_->plain(kWorkerRegion);
  std::memcpy(plain.data(), bytes.data(), plain.size());
  std::memcpy(segment_->ring(kWorkerRegion, 0).data, bytes.data() + plain.size(),
              bytes.size() - plain.size());
}

bool ScriptedSegment::worker_bytes_are(const std::vector<std::byte>& bytes) const noexcept {
  const std::span<std::byte> plain = segment_->plain(kWorkerRegion);
  return std::memcmp(plain.data(), bytes.data(), plain.size()) == 0 &&
         std::memcmp(segment_->ring(kWorkerRegion, 0).data, bytes.data() + plain.size(),
                     bytes.size() - plain.size()) == 0;
}

ScriptedWorker::ScriptedWorker(const ScriptedSegment& segment)
    : segment_{segment},
      log_{plain_of(segment).undo, plain_of(segment).entries, plain_of(segment).state},
      commit_{plain_of(segment).commit, plain_of(segment).record, plain_of(segment).cursors, log_},
      input_{input_of(segment)},
      output_{output_of(segment)} {}

bool ScriptedWorker::recover() noexcept {
  const bool sound = commit_.recover();
  input_.resume();
  output_.resume();
  return sound;
}

bool ScriptedWorker::is_committing() const noexcept {
  const CommitHeader& header = plain_of(segment_).commit;
  return header.applied.load() != header.committed.load();
}

void ScriptedWorker::run() noexcept {
  while (input_.readable() != 0) {
    std::uint64_t number = 0;
    std::memcpy(&number, input_.data(), sizeof(number));
    log_.begin_event(log_.event() + 1);
    if (fails_first(number)) {
      output_.enter_event(number);
      change_state(number + 1);
      push_outputs(number + 1);
      log_.roll_back(log_.before_event());
      output_.take_back(number);
    }
    handle(number);
    input_.advance(sizeof(number));
    if (ends_batch(number) || number == segment_.events()) store_commit(false);
  }
  if (!input_.at_end() || output_.ends()) return;
  output_.end();
  store_commit(false);
}

void ScriptedWorker::handle(std::uint64_t number) noexcept {
  output_.enter_event(number);
  if (!leaves_state(number)) change_state(number);
  if (splits(number)) store_commit(true);
  push_outputs(number);
}

void ScriptedWorker::change_state(std::uint64_t number) noexcept {
  auto& state = *reinterpret_cast<ScriptedState*>(log_.state().data());
  const auto note = [this](const void* piece, std::size_t bytes) {
    log_.note(static_cast<const std::byte*>(piece), bytes);
  };
  note(&state.sum, sizeof(state.sum));
  if (changes_sum_alone(number)) {
    change(state, number);
    return;
  }
  note(&state.rows[number % 3], sizeof(ScriptedRow));
  note(state.odd.data(), state.odd.size());
  change(state, number);
}

void ScriptedWorker::push_outputs(std::uint64_t number) noexcept {
  const auto& state = *reinterpret_cast<const ScriptedState*>(log_.state().data());
  for (std::uint64_t i = 0; i < outputs_of(number); ++i) {
    const Output made = make_output(state, number, i);
    std::memcpy(reserve_record(output_, made.bytes), made.words.data(), made.bytes);
    output_.advance(record_stride(made.bytes));
  }
}

void ScriptedWorker::store_commit(bool split) noexcept {
  // Every other one that can be is stored from what is in hand.
  if (!split && !output_.ends() && commit_.committed() % 2 == 0) {
    return commit_.commit_all(RedoEntry{kOutputWord, output_.next()}, RedoEntry{kInputWord, input_.next()},
                              RedoEntry{kEventsWord, input_.next() / 8});
  }
  commit_.move(kOutputWord, split ? output_.before(input_.next() / 8 + 1) : output_.next());
  if (output_.ends()) commit_.move(kOutputWord + 1, kEnded);
  commit_.move(kInputWord, input_.next());
  commit_.move(kEventsWord, input_.next() / 8);
  if (split) {
    commit_.commit(log_.before_event());
  } else {
    commit_.commit();
  }
}

std::string ScriptedWorker::audit(ScriptedResult& result) const {
  const WorkerPlain& plain = plain_of(segment_);
  const std::uint64_t head = plain.cursors[kInputWord].load();
  if (head % 8 != 0 || head / 8 > segment_.events()) return "head " + std::to_string(head);
  if (result.events > head / 8) return "events fewer than before";
  while (result.events < head / 8)
    result.apply(result.events + 1);
  const std::uint64_t ended = plain.cursors[kOutputWord + 1].load();
  std::string wrong = difference("events", plain.cursors[kEventsWord].load(), result.events);
  wrong += difference("applied", plain.commit.applied.load(), plain.commit.committed.load());
  wrong += difference("undo tail", plain.undo.tail.load(), plain.undo.base.load());
  if (ended > kEnded || (ended == kEnded && result.events != segment_.events())) wrong += "an end too early";
  if (std::memcmp(plain.state.data(), &result.state, sizeof(ScriptedState)) != 0) wrong += "state";
  return wrong + audit_output(result);
}

std::string ScriptedWorker::audit_output(const ScriptedResult& result) const {
  const LaneMemory memory = output_of(segment_);
  const std::string& should = result.output;
  const std::uint64_t tail = memory.producer->tail.load();
  if (tail != should.size()) return difference("tail", tail, std::uint64_t{should.size()});
  for (std::size_t at = 0; at < should.size();) {
    std::uint64_t bytes = 0;
    std::memcpy(&bytes, should.data() + at, sizeof(bytes));
    // The padding behind a record means nothing.
    if (std::memcmp(memory.ring + at, should.data() + at, kRecordHeaderBytes + bytes) != 0) {
      return "output at " + std::to_string(at);
    }
    at += record_stride(bytes);
  }
  return {};
}

std::vector<std::uint64_t> ScriptedWorker::events_after_commits(std::uint64_t events) {
  std::vector<std::uint64_t> after{0};
  for (std::uint64_t number = 1; number <= events; ++number) {
    if (splits(number)) after.push_back(number - 1);
    if (ends_batch(number) || number == events) after.push_back(number);
  }
  after.push_back(events);  // The end.
  return after;
}

}  // namespace sluice::ipc::test
