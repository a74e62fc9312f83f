// SPDX-License-Identifier: Apache-2.0
#include "worker/poison.hpp"

#include <algorithm>
#include <csignal>
#include <cstring>
#include <system_error>

#include <fmt/format.h>

#include <sluice/error.hpp>

#include "death/backtrace.hpp"
#include "worker/retry.hpp"
#include "worker/worker_loop.hpp"

namespace sluice::detail {

Poison::Poison(const Wiring& wiring, WorkerIndex worker) : wiring_{wiring}, memory_{wiring.worker(worker)} {
  const ProcessLayout& layout = memory_.layout();
  const Node& node = wiring.node(worker);
  const std::uint64_t limit = wiring.settings(worker).poison_attempts;
  if (limit == 0 || node.kind == NodeKind::source) return;
  for (const Blame& blame : memory_.entry().blames) {
    // relaxed: written before this process was started.
    const std::uint64_t progress = blame.event.load(std::memory_order_relaxed);
    const std::uint32_t attempts = blame.attempts.load(std::memory_order_relaxed);
    if (progress == 0 || attempts < limit) continue;
    Condemned condemned{event_named(progress), attempts, 0, {}, {}};
    if (condemned.event.lane >= layout.lanes_in.size() && condemned.event.lane != kRetryLane) continue;
    describe_death(blame, progress, condemned);
    condemned_.push_back(std::move(condemned));
  }
}

void Poison::describe_death(const Blame& blame, std::uint64_t progress, Condemned& condemned) const {
  constexpr auto kRelaxed = std::memory_order_relaxed;  // Of a process that is dead.
  const CrashNote& note = memory_.crash_note();
  const bool about_it = note.incarnation.load(kRelaxed) != 0 && note.event.load(kRelaxed) == progress;
  const Death death{blame.cause.load(kRelaxed), blame.signal.load(kRelaxed),
                    blame.exit_status.load(kRelaxed)};
  condemned.signal = death.signal;
  if (!about_it) {
    condemned.cause = to_text(death, {});
    return;
  }
  const ipc::Control& control = memory_.control();
  condemned.cause = to_text(death, {control.message, ::strnlen(control.message, ipc::kMessageBytes)});
  condemned.frames = frames_of(note);
  if (death.cause == Cause::crashed && (death.signal == SIGSEGV || death.signal == SIGBUS)) {
    condemned.cause += fmt::format(" at address {:#x}", note.address.load(kRelaxed));
  }
}

const Poison::Condemned* Poison::find(std::uint32_t lane, std::uint64_t position) const noexcept {
  const auto found = std::find_if(condemned_.begin(), condemned_.end(), [&](const Condemned& condemned) {
    return condemned.event.lane == lane && condemned.event.position == position;
  });
  return found == condemned_.end() ? nullptr : &*found;
}

void Poison::set_stop(std::uint32_t lane, ipc::LaneConsumer& input) const noexcept {
  input.clear_stop();
  std::optional<std::uint64_t> nearest;
  for (const Condemned& condemned : condemned_) {
    // What lies behind has been moved by an earlier commit.
    if (condemned.event.lane != lane || condemned.event.position < input.next()) continue;
    nearest = std::min(nearest.value_or(condemned.event.position), condemned.event.position);
  }
  if (nearest) input.stop_at(*nearest);
}

void Poison::open_file(Worker& worker) {
  std::error_code error;
  std::filesystem::create_directories(wiring_.reports(), error);
  if (error) {
    throw Error{{"make the directory", wiring_.reports().string(), error.message(),
                 "set report.path to one that can be written"}};
  }
  file_.emplace(worker, "sluice.dead_letters",
                wiring_.reports() / dead_letters_file(worker.stage(), worker.replica()));
}

DeadLetter Poison::letter_about(const Condemned& condemned) const {
  const ProcessLayout& layout = memory_.layout();
  const LaneLayout& lane = wiring_.layout().lanes[layout.lanes_in[condemned.event.lane]];
  const EventType& type = wiring_.edge(lane).type;
  DeadLetter letter;
  letter.stage = wiring_.node(layout.node).name;
  letter.replica = layout.replica;
  letter.replicas = wiring_.layout().replicas_of(layout.node);
  letter.from = wiring_.name(lane.producer);
  letter.position = condemned.event.position;
  letter.type = type.name();
  letter.record = type.record;
  letter.head_bytes = type.bytes;
  describe(condemned, letter);
  return letter;
}

void Poison::describe(const Condemned& condemned, DeadLetter& letter) {
  letter.attempts += condemned.attempts;
  letter.signal = condemned.signal;
  letter.cause = condemned.cause;
  // Names take long to find, and the flow waits: whoever reads the letter finds them.
  letter.backtrace = places_of(condemned.frames);
  letter.time = std::chrono::system_clock::now();
}

void Poison::divert_again(std::uint32_t lane, std::uint64_t position, DeadLetter letter) {
  describe(*find(lane, position), letter);
  file_->append(encode(letter));
}

void Poison::divert(std::uint32_t lane, ipc::LaneConsumer& input) {
  const Condemned* condemned = find(lane, input.next());
  input.clear_stop();
  if (condemned == nullptr) return;
  DeadLetter letter = letter_about(*condemned);
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
