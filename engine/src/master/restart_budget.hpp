// SPDX-License-Identifier: Apache-2.0
// Restarts: when a dead worker is replaced, and when the pipeline gives up on it. Pure.
//
// A worker that died after it had committed something, or while it waited, is replaced at once. One that died
// without having achieved anything waits: backoff, doubled each time up to a limit, with jitter so that
// workers that die together do not come back together. More than `budget` deaths within `window` that count end
// the pipeline: those that the worker earned. What kills it from outside says nothing of it, and counts only
// while the worker has never become ready.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::detail {

struct RestartPolicy {
  std::size_t budget = 5;
  std::chrono::nanoseconds window{std::chrono::seconds{10}};
  std::chrono::nanoseconds backoff{std::chrono::milliseconds{1}};
  std::chrono::nanoseconds backoff_max{std::chrono::seconds{1}};
  std::chrono::nanoseconds stable{std::chrono::seconds{10}};
};

class RestartBudget {
 public:
  explicit RestartBudget(const RestartPolicy& policy);

  // A death at `now` that counts. Whether it may be replaced: false when the budget is
  // spent.
  bool allows(std::chrono::nanoseconds now) noexcept;
  // How many more it allows at `now`.
  std::size_t left(std::chrono::nanoseconds now) const noexcept;
  // How long to wait before the replacement of a worker that has lived for `lived`, whether its death counts or
  // not. `random` is any 64 random bits.
  std::chrono::nanoseconds pause(std::chrono::nanoseconds lived, bool achieved_something,
                                 std::uint64_t random) noexcept;

 private:
  RestartPolicy policy_;
  // The last `budget` of them, as a ring once there are so many: a new master makes one for each worker, whatever the budget.
  std::vector<std::chrono::nanoseconds> deaths_;
  std::size_t count_ = 0;
  unsigned fruitless_ = 0;  // Deaths in a row that achieved nothing.
};

// Starts that ended before the worker was ready: before its handler was constructed.
class StartRecord {
 public:
  void on_death(bool was_ready) noexcept;
  // Since it was ready last.
  std::size_t starts_in_vain() const noexcept { return in_vain_; }
  bool never_ready() const noexcept { return in_vain_ != 0 && !was_ever_ready_; }
  // For a master that finds a worker which a former one has started.
  void was_ready_before() noexcept { was_ever_ready_ = true; }

 private:
  std::size_t in_vain_ = 0;
  bool was_ever_ready_ = false;
};

// Why a worker is not replaced any more, for people.
struct SpentBudget {
  std::string_view worker;
  std::size_t budget = 0;
  std::string_view event;  // In its handler at the last death; empty for none.
  std::string_view cause;  // Of the last death: "signal 11 (Segmentation fault)".
  StartRecord starts;
  bool of_what_it_writes_to = false;  // The last death.
};
std::string to_text(const SpentBudget& spent);

}  // namespace sluice::detail
