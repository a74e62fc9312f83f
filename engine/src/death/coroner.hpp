// SPDX-License-Identifier: Apache-2.0
// The coroner: finds out of what a worker died, or is about to, and writes it down, while the master goes on.
//
// Names for addresses and the stacks of another process take allocations, files and tens of milliseconds. So
// each examination is a short-lived fork of the master: it works, appends one line of JSON to the report, and
// ends. Used by the master only. At most a few are at work at a time; without one, the line is written
// without stacks.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

// A worker that is to be killed as soon as its stacks are taken: while it still stands still, so that it dies
// in the event that it is killed for. It is spared if its progress word has moved on.
struct Sentence {
  const std::atomic<std::uint64_t>* progress = nullptr;
  std::uint64_t event = 0;
};

// Everything in it need only live until examine() returns.
struct Examination {
  std::string_view fields_json{};               // What is known: `"worker":"parse/0","signal":11`.
  std::span<const std::uintptr_t> addresses{};  // A backtrace to be given names: the field `backtrace`.
  pid_t pid = 0;                                // A process whose stacks are taken: the field `stacks`.
  int pidfd = -1;                               // Of that process.
  std::optional<Sentence> sentence{};
};

// A text as JSON writes it, in quotes.
std::string json_text(std::string_view text);

class Coroner {
 public:
  // The longest that a kill waits for the stacks.
  static constexpr std::chrono::milliseconds kCapture{500};
  // The longest that an examination takes; then the line is written without stacks.
  static constexpr std::chrono::milliseconds kExamination{10'000};

  enum class Outcome { reported, spared, failed };
  struct Finished {
    pid_t pid = 0;  // As in the examination.
    Outcome outcome = Outcome::failed;
  };

  // From now on the end of an examination shows in `epoll`, as `event`: call next_finished() then.
  void show_in(int epoll, std::uint64_t event) noexcept;

  // Appends a line to the file `path`. True when that goes on elsewhere, and a sentence will be carried out
  // there; false when all is done that can be done: a sentence is then the caller's to carry out. Never
  // blocks for long.
  bool examine(const Examination& examination, const std::string& path) noexcept;

  // An examination that has ended since the last call, if there is one.
  std::optional<Finished> next_finished() noexcept;

  // Waits for all that are at work, not longer than `limit`, and ends those that are still at work then.
  void finish(std::chrono::milliseconds limit) noexcept;

 private:
  struct AtWork {
    Descriptor pidfd;  // Of the examiner.
    pid_t examined = 0;
    std::string fields;  // For the line, should the examiner not come to write it.
    std::string path;
  };

  Finished reap(AtWork& at_work) noexcept;

  static constexpr std::size_t kMost = 4;
  std::array<AtWork, kMost> at_work_;
  int epoll_ = -1;
  std::uint64_t event_ = 0;
};

}  // namespace sluice::detail
