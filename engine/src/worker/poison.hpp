// SPDX-License-Identifier: Apache-2.0
// Poison: the events that a worker must not handle any more, because they have killed it too often or the outside has
// refused them, and the way they take instead: by a commit into the worker's file of dead letters.
//
// Used by the worker loop. What it knows of them comes from the master (WorkerEntry::blames), from the note that the
// worker's predecessor left (CrashNote), and from this process's earlier loops (Refusals), all read when the loop is made;
// and, behind a restore, from the file of dead letters: an event that has its letter there is passed (LetterFile).
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include <sluice/dead_letter.hpp>
#include <sluice/ipc/lane.hpp>

#include "layout/wiring.hpp"
#include "worker/letter_file.hpp"
#include "worker/refusals.hpp"

namespace sluice::detail {

class Poison {
 public:
  Poison(const Wiring& wiring, WorkerIndex worker, std::span<const RefusedLetter> refused);

  // Whether there are any. All the rest is for when there are.
  bool any() const noexcept { return !to_divert_.empty() || !written_.empty(); }
  // Once the handler has claimed its state. `to_come`: whether an event is still to be handled. Throws Unavailable.
  void claim_file(Worker& worker, const std::function<bool(const EventId&)>& to_come);
  // Letters are in order behind that time from now on: those before it are to be retried by this start.
  void letters_begin_behind(std::int64_t order_ns) noexcept { floor_ns_ = order_ns; }
  // As LetterFile::ready(): divert() and divert_again() move an event only where this is true.
  bool file_ready() { return file_->ready(); }

  // Sets the stop before the next such event of the worker's input `lane`.
  void set_stop(std::uint32_t lane, ipc::LaneConsumer& input) const noexcept;
  // Moves the event at the stop into the file, with the next commit, and the stop on. Throws Unavailable when the file
  // cannot be written.
  void divert(std::uint32_t lane, ipc::LaneConsumer& input);

  // The same for a dead letter that was retried: whether it must not be handled either, and its move.
  bool forbids(std::uint32_t lane, std::uint64_t position) const noexcept {
    return find(lane, position) != nullptr;
  }
  void divert_again(std::uint32_t lane, std::uint64_t position, DeadLetter letter);

  // Whether the next event of the input has its letter already, and the same for a dead letter that was retried.
  bool is_written(std::uint32_t lane, ipc::LaneConsumer& input) const;
  bool is_written(std::uint64_t position, const DeadLetter& letter) const noexcept;
  // The former: it has gone the way that divert() goes.
  void pass_written(std::uint32_t lane, ipc::LaneConsumer& input) const;
  // How many events can be handled at once before the next that may have its letter already: up to `most`.
  std::uint64_t until_written(std::uint32_t lane, const ipc::LaneConsumer& input, std::uint64_t most) const;

 private:
  struct ToDivert {
    EventName event;
    unsigned attempts = 0;
    int signal = 0;
    std::string cause;
    std::vector<std::uintptr_t> frames;
  };

  void describe_death(const Blame& blame, ToDivert& to_divert) const;
  const ToDivert* find(std::uint32_t lane, std::uint64_t position) const noexcept;
  static void describe(const ToDivert& to_divert, DeadLetter& letter);
  DeadLetter letter_about(const ToDivert& to_divert) const;
  const EventType& type_of(std::uint32_t lane) const;
  EventId id_of(const EventName& event) const noexcept;

  const Wiring& wiring_;
  WorkerMemory memory_;  // Of the worker.
  WorkerIndex worker_;
  std::vector<ToDivert> to_divert_;
  // By lane and position, of which one may name other events than before the restore: their payloads tell.
  std::multimap<std::pair<std::uint32_t, std::uint64_t>, DeadLetter> written_;
  std::int64_t floor_ns_ = 0;
  std::optional<LetterFile> file_;
};

}  // namespace sluice::detail
