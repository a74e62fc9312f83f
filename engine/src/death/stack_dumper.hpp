// SPDX-License-Identifier: Apache-2.0
// The stack dumper: finds out where a worker died or hangs, and writes it to the report, while the master
// goes on.
//
// Names for addresses and the stacks of another process take allocations, files and tens of milliseconds. So
// each dump is a short-lived fork of the master: it works, appends one line to the report, and ends. It never
// kills. The process whose stacks it takes stands still meanwhile, and before it goes on the dumper asks its
// master, which may kill it: so a worker dies in the event that it is killed for, or not at all.
//
//     master                              dumper                             worker
//     dump()                              stops it, reads its stacks         stands still
//     next_event(): captured      <-----  "captured"
//     SIGKILL, or not
//     answer()                    ----->  lets go of it                      is dead, or goes on
//     next_event(): ended                 names, a line in the report
//
// Used by the master only. At most a few are at work at a time; without one, the line is written without
// stacks.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <utility>

#include <sluice/detail/descriptor.hpp>

#include "death/report_log.hpp"

namespace sluice::detail {

class StackDumper {
 public:
  // The longest that a kill waits for the stacks.
  static constexpr std::chrono::milliseconds kCapture{500};
  // The longest that a stopped process waits for the master's answer.
  static constexpr std::chrono::milliseconds kAnswer{1'000};
  // The longest that a dump takes; then the line is written without stacks.
  static constexpr std::chrono::milliseconds kLimit{10'000};

  // `log` must outlive it. A backtrace's dumper outlives a master that dies, and calls `let_go` at its beginning, which gives
  // up what is the pipeline's: its next start does not wait for it.
  StackDumper(const ReportLog& log, std::function<void()> let_go) noexcept
      : log_{log}, let_go_{std::move(let_go)} {}

  // From now on what happens to a dump shows in `epoll`, as `event`: call next_event() then.
  void show_in(int epoll, std::uint64_t event) noexcept;

  // Appends a line with `fields` and the names of `addresses`, a backtrace: the field `backtrace`. When no
  // process is to be had for it, the line is written at once with the bare places. Never blocks for long.
  void report_backtrace(std::string_view fields, std::span<const std::uintptr_t> addresses) noexcept;
  // Appends a line with `fields` and the stacks of the living process `pid`: the field `stacks`. False when
  // no process is to be had for it, and the line is written without. Never blocks for long.
  bool dump(std::string_view fields, pid_t pid, int pidfd) noexcept;

  enum class What {
    captured,  // Its stacks are taken and it stands still: call answer().
    ended,     // The line is written, and the dump is over.
  };
  struct Event {
    What what = What::ended;
    pid_t pid = 0;  // As in dump(); 0 of a backtrace.
  };
  // What has happened since the last call, if anything has.
  std::optional<Event> next_event() noexcept;

  // To a capture: whether the master has killed `pid`. It goes on if not, and the line says that it was
  // spared.
  void answer(pid_t pid, bool killed) noexcept;

  // Waits for all that are at work, not longer than `limit`, and ends those that are still at work then.
  void finish(std::chrono::milliseconds limit) noexcept;

 private:
  struct AtWork {
    Descriptor pidfd;    // Of the dumper.
    Descriptor channel;  // Between it and the master; of a backtrace, none.
    pid_t subject = 0;
    std::string fields;  // For the line, should the dumper not come to write it.
  };
  struct Task;

  bool start(const Task& task) noexcept;
  bool watch(const AtWork& at_work) const noexcept;
  void reap(AtWork& at_work) noexcept;

  static constexpr std::size_t kMost = 4;
  const ReportLog& log_;
  std::function<void()> let_go_;
  std::array<AtWork, kMost> at_work_;
  int epoll_ = -1;
  std::uint64_t event_ = 0;
};

}  // namespace sluice::detail
