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
    : wiring_{wiring}, memory_{wiring.worker(worker)} {
  const ProcessLayout& layout = memory_.layout();
  const Node& node = wiring.node(worker);
  const std::uint64_t limit = wiring.settings(worker).poison_attempts;
  if (limit == 0 || node.kind == NodeKind::source) return;
  for (const Blame& blame : memory_.entry().blames) {
    // relaxed: written before this process was started.
    const std::optional<EventName> event = event_of(blame);
    const std::uint32_t attempts = blame.attempts.load(std::memory_order_relaxed);
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
    to_divert.cause = to_text(death, {});
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

void Poison::claim_file(Worker& worker) {
  file_.emplace(worker, wiring_.reports());
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
  file_->append(encode(letter));
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
  file_->append(encode(letter));
  input.advance(stride);
  set_stop(lane, input);
}

}  // namespace sluice::detail
