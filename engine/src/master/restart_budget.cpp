// SPDX-License-Identifier: Apache-2.0
#include "master/restart_budget.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>

namespace sluice::detail {

RestartBudget::RestartBudget(const RestartPolicy& policy) : policy_{policy} {}

bool RestartBudget::allows(std::chrono::nanoseconds now) noexcept {
  const std::size_t budget = policy_.budget;
  if (budget == 0) return false;
  const std::size_t oldest = count_ % budget;
  if (count_ < budget) {
    deaths_.push_back(now);
  } else if (now - deaths_[oldest] < policy_.window) {
    return false;
  } else {
    deaths_[oldest] = now;
  }
  ++count_;
  return true;
}

std::size_t RestartBudget::left(std::chrono::nanoseconds now) const noexcept {
  return policy_.budget -
         static_cast<std::size_t>(std::count_if(deaths_.begin(), deaths_.end(),
                                                [&](auto death) { return now - death < policy_.window; }));
}

std::chrono::nanoseconds RestartBudget::pause(std::chrono::nanoseconds lived, bool achieved_something,
                                              std::uint64_t random) noexcept {
  fruitless_ = achieved_something || lived >= policy_.stable ? 0 : fruitless_ + 1;
  if (fruitless_ == 0) return std::chrono::nanoseconds{0};
  // Doubled step by step, for backoff * 2^n would soon be more than a clock can hold.
  auto delay = std::min(policy_.backoff, policy_.backoff_max);
  for (unsigned i = 1; i < fruitless_ && delay.count() > 0 && delay < policy_.backoff_max; ++i)
    delay = delay > policy_.backoff_max / 2 ? policy_.backoff_max : delay * 2;
  // Between a half and the whole of it.
  return delay / 2 + std::chrono::nanoseconds{static_cast<std::int64_t>(
                         random % static_cast<std::uint64_t>(delay.count() / 2 + 1))};
}

void StartRecord::on_death(bool was_ready) noexcept {
  in_vain_ = was_ready ? 0 : in_vain_ + 1;
  was_ever_ready_ = was_ever_ready_ || was_ready;
}

std::string to_text(const SpentBudget& spent) {
  const std::size_t in_vain = spent.starts.starts_in_vain();
  if (in_vain != 0) {
    return fmt::format(
        "{} {}: {} ended before its handler was constructed, {}: {}; mend the "
        "handler's constructor, or raise watchdog.deadline if a start takes longer than ten deadlines",
        spent.worker, spent.starts.never_ready() ? "never became ready" : "does not become ready any more",
        in_vain == 1 ? std::string{"a start"} : fmt::format("{} starts in a row", in_vain),
        in_vain == 1 ? "so" : "the last one so", spent.cause);
  }
  return fmt::format("{} died {} within restart.window, {}in {}: {}; {}", spent.worker,
                     counted(spent.budget + 1, "time"), spent.budget == 0 ? "" : "the last time ",
                     spent.event.empty() ? std::string{"no event"} : fmt::format("the event {}", spent.event),
                     spent.cause,
                     spent.of_what_it_writes_to
                         ? "what it writes to takes no more: a reader that is gone, or a limit of file sizes"
                         : "mend its handler or raise restart.budget");
}

}  // namespace sluice::detail
