// SPDX-License-Identifier: Apache-2.0
#include "worker/poison.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <system_error>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "death/backtrace.hpp"
#include "layout/wiring.hpp"
#include "worker/retry.hpp"

namespace sluice::detail {

Poison::Poison(const Wiring& wiring, WorkerIndex worker, std::span<const RefusedLetter> refused)
    : wiring_{wiring}, memory_{wiring.worker(worker)}, worker_{worker} {
  const ProcessLayout& layout = memory_.layout();
  const Node& node = wiring.node(worker);
  const std::uint64_t limit = wiring.settings(worker).poison_attempts;
  if (limit == 0 || node.kind == NodeKind::source) return;
  for (const Blame& blame : memory_.entry().blames) {
    // relaxed: written before this process was started.
    const std::optional<EventName> event = event_of(blame);
    const std::uint32_t attempts = blame.attempts.load(std::memory_order_relaxed).deaths;
    if (!event || attempts < limit) continue;
    ToDivert to_divert{*event, attempts, 0, {}, {}};
    if (to_divert.event.lane >= layout.lanes_in.size() && to_divert.event.lane != kRetryLane) continue;
    describe_death(blame, to_divert);
    to_divert_.push_back(std::move(to_divert));
  }
  for (const RefusedLetter& letter : refused)
    to_divert_.push_back({letter.event, 1, 0, "refused: " + letter.why, {}});
}

void Poison::describe_death(const Blame& blame, ToDivert& to_divert) const {
  constexpr auto kRelaxed = std::memory_order_relaxed;  // Of a process that is dead.
  const CrashNote& note = memory_.crash_note();
  const auto noted =
      event_named(static_cast<std::uint32_t>(note.lane.load(kRelaxed)), note.event.load(kRelaxed));
  const bool about_it = note.incarnation.load(kRelaxed) != 0 && noted == to_divert.event;
  const Death death{blame.cause.load(kRelaxed), blame.signal.load(kRelaxed),
                    blame.exit_status.load(kRelaxed)};
  to_divert.signal = death.signal;
  if (!about_it) {
    // The worker has died of something else since, which its note and its message are about.
    to_divert.cause = to_text(death, {});
    if (death.cause == Cause::threw) to_divert.cause += ": its report in deaths.jsonl has what it said";
    return;
  }
  const ipc::Control& control = memory_.control();
  to_divert.cause = to_text(death, {control.message, ::strnlen(control.message, ipc::kMessageBytes)});
  to_divert.frames = frames_of(note);
  if (death.cause == Cause::crashed && (death.signal == SIGSEGV || death.signal == SIGBUS)) {
    to_divert.cause += fmt::format(" at address {:#x}", note.address.load(kRelaxed));
  }
}

const Poison::ToDivert* Poison::find(std::uint32_t lane, std::uint64_t position) const noexcept {
  const auto found = std::find_if(to_divert_.begin(), to_divert_.end(), [&](const ToDivert& to_divert) {
    return to_divert.event.lane == lane && to_divert.event.position == position;
  });
  return found == to_divert_.end() ? nullptr : &*found;
}

void Poison::set_stop(std::uint32_t lane, ipc::LaneConsumer& input) const noexcept {
  input.clear_stop();
  std::optional<std::uint64_t> nearest;
  for (const ToDivert& to_divert : to_divert_) {
    // What lies behind has been moved by an earlier commit.
    if (to_divert.event.lane != lane || to_divert.event.position < input.next()) continue;
    nearest = std::min(nearest.value_or(to_divert.event.position), to_divert.event.position);
  }
  if (nearest) input.stop_at(*nearest);
}

void Poison::claim_file(Worker& worker, const std::function<bool(const EventId&)>& to_come) {
  const CheckpointSettings& checkpoints = wiring_.settings().checkpoints;
  // relaxed: written before the first fork.
  const LetterPlace place{wiring_.reports(), wiring_.requests().restored.load(std::memory_order_relaxed) != 0,
                          !checkpoints.path.empty() && checkpoints.sync};
  if (wiring_.node(worker_).kind != NodeKind::stage) return;
  if (to_divert_.empty() && !LetterFile::is_there(worker, memory_.state(), place)) return;
  file_.emplace(worker, place, to_come);
  for (DeadLetter& letter : file_->take_written()) {
    const std::pair<std::uint32_t, std::uint64_t> at{letter.event.lane(), letter.event.position};
    written_.emplace(at, std::move(letter));
  }
}

const EventType& Poison::type_of(std::uint32_t lane) const {
  return wiring_.edge(wiring_.layout().lanes[memory_.layout().lanes_in[lane]]).type;
}

EventId Poison::id_of(const EventName& event) const noexcept {
  // relaxed: drawn before the first start.
  const std::uint64_t run = wiring_.requests().run.load(std::memory_order_relaxed);
  const ProcessLayout& layout = memory_.layout();
  return {origin_of(run, layout.node.value(), layout.replica) | event.lane, event.position};
}

DeadLetter Poison::letter_about(const ToDivert& to_divert) const {
  const ProcessLayout& layout = memory_.layout();
  const LaneLayout& lane = wiring_.layout().lanes[layout.lanes_in[to_divert.event.lane]];
  const EventType& type = wiring_.edge(lane).type;
  DeadLetter letter;
  letter.stage = wiring_.node(layout.node).name;
  letter.replica = layout.replica;
  letter.replicas = wiring_.layout().replicas_of(layout.node);
  letter.from = wiring_.name(lane.producer);
  letter.position = to_divert.event.position;
  letter.event = id_of(to_divert.event);
  letter.type = std::string{type.name};
  letter.record = type.record;
  letter.head_bytes = type.bytes;
  describe(to_divert, letter);
  return letter;
}

void Poison::describe(const ToDivert& to_divert, DeadLetter& letter) {
  letter.attempts += to_divert.attempts;
  letter.signal = to_divert.signal;
  letter.cause = to_divert.cause;
  // Names take long to find, and the flow waits: `sluice dead show` finds them.
  letter.backtrace = places_of(to_divert.frames);
  letter.time = std::chrono::system_clock::now();
  letter.retried_by = 0;
}

void Poison::divert_again(std::uint32_t lane, std::uint64_t position, DeadLetter letter) {
  describe(*find(lane, position), letter);
  if (letter.first_event == EventId{}) letter.first_event = letter.event;
  letter.event = id_of({lane, position});
  file_->append(letter, floor_ns_);
}

void Poison::divert(std::uint32_t lane, ipc::LaneConsumer& input) {
  const ToDivert* to_divert = find(lane, input.next());
  input.clear_stop();
  if (to_divert == nullptr) return;
  DeadLetter letter = letter_about(*to_divert);
  std::uint64_t stride = letter.head_bytes;
  std::span<const std::byte> payload;
  if (letter.record) {
    payload = ipc::peek_record(input);
    stride = ipc::record_stride(payload.size());
    if (payload.data() == nullptr) return;  // Corrupt, and said to be so.
  } else if (input.readable() >= stride) {
    payload = {input.data(), stride};
  } else {
    return input.quarantine();
  }
  letter.payload.assign(reinterpret_cast<const char*>(payload.data()), payload.size());
  file_->append(letter, floor_ns_);
  input.advance(stride);
  set_stop(lane, input);
}

namespace {

// Nothing when it is not there, or corrupt.
std::string_view next_payload(const EventType& type, ipc::LaneConsumer& input) {
  const std::uint64_t readable = input.readable();
  if (readable == 0 || (!type.record && readable < type.bytes)) return {};
  const std::span<const std::byte> payload =
      type.record ? ipc::peek_record(input) : std::span{input.data(), static_cast<std::size_t>(type.bytes)};
  return {reinterpret_cast<const char*>(payload.data()), payload.size()};
}

}  // namespace

bool Poison::is_written(std::uint32_t lane, ipc::LaneConsumer& input) const {
  const auto [first, last] = written_.equal_range({lane, input.next()});
  if (first == last) return false;
  input.clear_stop();
  const std::string_view payload = next_payload(type_of(lane), input);
  set_stop(lane, input);
  return payload.data() != nullptr &&
         std::any_of(first, last, [&](const auto& each) { return each.second.payload == payload; });
}

bool Poison::is_written(std::uint64_t position, const DeadLetter& letter) const noexcept {
  const auto [first, last] = written_.equal_range({kRetryLane, position});
  return std::any_of(first, last, [&](const auto& each) {
    const DeadLetter& written = each.second;
    return written.payload == letter.payload && written.from == letter.from &&
           written.position == letter.position;
  });
}

void Poison::pass_written(std::uint32_t lane, ipc::LaneConsumer& input) const {
  input.clear_stop();
  const EventType& type = type_of(lane);
  const std::size_t bytes = next_payload(type, input).size();
  input.advance(type.record ? ipc::record_stride(bytes) : bytes);
  set_stop(lane, input);
}

std::uint64_t Poison::until_written(std::uint32_t lane, const ipc::LaneConsumer& input,
                                    std::uint64_t most) const {
  // The next event is none, or it is another one than it was.
  const auto next = written_.upper_bound({lane, input.next()});
  if (next == written_.end() || next->first.first != lane) return most;
  const EventType& type = type_of(lane);
  if (type.record) return 1;  // Where they begin is known one by one.
  return std::clamp<std::uint64_t>((next->first.second - input.next()) / type.bytes, 1, most);
}

}  // namespace sluice::detail
