// SPDX-License-Identifier: Apache-2.0
// Poison: the events that a worker must not handle any more, because they have killed it too often or the outside has
// refused them, and the way they take instead: by a commit into the worker's file of dead letters.
//
// Used by the worker loop. What it knows of them comes from the master (WorkerEntry::blames), from the note that the
// worker's predecessor left (CrashNote), and from this process's earlier loops (Refusals), all read when the loop is made.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
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
  bool any() const noexcept { return !to_divert_.empty(); }
  // Once the handler has claimed its state.
  void claim_file(Worker& worker);
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

  const Wiring& wiring_;
  WorkerMemory memory_;  // Of the worker.
  std::vector<ToDivert> to_divert_;
  std::optional<LetterFile> file_;
};

}  // namespace sluice::detail
