// SPDX-License-Identifier: Apache-2.0
#include "observer/rates.hpp"

#include <algorithm>

namespace sluice::detail {
namespace {

double seconds_of(std::chrono::nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

// How many of the first are not needed: of those before the window one is.
template <class Kept, class At>
std::ptrdiff_t out_of_use(const std::vector<Kept>& kept, std::chrono::nanoseconds from, At&& at) {
  std::size_t count = 0;
  while (count + 1 < kept.size() && at(kept[count + 1]) <= from)
    ++count;
  return static_cast<std::ptrdiff_t>(count);
}

}  // namespace

void StepRate::look(std::uint64_t count, std::chrono::nanoseconds at, std::chrono::nanoseconds window) {
  if (steps_.empty() || count < steps_.back().count) {
    steps_ = {{at, count}};
  } else if (count != steps_.back().count) {
    // It stood still for a window, up to the last look: the rate of before is over.
    if (last_look_ - steps_.back().at >= window) steps_ = {{last_look_, steps_.back().count}};
    steps_.push_back({at, count});
    steps_.erase(steps_.begin(),
                 steps_.begin() + out_of_use(steps_, at - window, [](const Step& step) { return step.at; }));
  }
  last_look_ = at;
}

double StepRate::per_second(std::chrono::nanoseconds window) const noexcept {
  if (steps_.size() < 2) return 0;
  const std::chrono::nanoseconds silent = last_look_ - steps_.back().at;
  if (silent >= window) return 0;
  const auto count = static_cast<double>(steps_.back().count - steps_.front().count);
  const std::chrono::nanoseconds moved = steps_.back().at - steps_.front().at;
  const std::chrono::nanoseconds between = moved / static_cast<std::int64_t>(steps_.size() - 1);
  // The next step is overdue: what is not there yet counts against the rate.
  return count / seconds_of(silent > 2 * between ? moved + silent : moved);
}

void Rates::look(const Stats& stats, std::chrono::nanoseconds at) {
  times_.push_back(at);
  const auto gone = out_of_use(times_, at - window_, [](std::chrono::nanoseconds time) { return time; });
  times_.erase(times_.begin(), times_.begin() + gone);
  stages_.resize(stats.stages.size());
  for (std::size_t s = 0; s < stats.stages.size(); ++s) {
    const StageStats& stage = stats.stages[s];
    stages_[s].source = stage.source;
    stages_[s].workers.resize(stage.workers.size());
    for (std::size_t w = 0; w < stage.workers.size(); ++w) {
      const WorkerStats& worker = stage.workers[w];
      OfWorker& kept = stages_[s].workers[w];
      kept.in.look(worker.events_in, at, window_);
      kept.out.look(worker.events_out, at, window_);
      kept.looks.push_back({worker.time, worker.usage, worker.incarnation});
      kept.looks.erase(kept.looks.begin(), kept.looks.begin() + gone);
    }
  }
}

std::optional<WorkerRates> Rates::of(std::size_t stage, std::size_t worker) const {
  if (times_.size() < 2 || stage >= stages_.size() || worker >= stages_[stage].workers.size())
    return std::nullopt;
  const OfWorker& kept = stages_[stage].workers[worker];
  WorkerRates rates;
  rates.in_per_second = kept.in.per_second(window_);
  rates.out_per_second = kept.out.per_second(window_);
  const TimeStats& from = kept.looks.front().time;
  const TimeStats& to = kept.looks.back().time;
  const double watched = seconds_of(to.watched - from.watched);
  const auto share = [watched](std::chrono::nanoseconds time) {
    return watched > 0 ? seconds_of(time) / watched : 0;
  };
  rates.busy = share(to.busy - from.busy);
  rates.waiting = share(to.waiting - from.waiting);
  rates.full = share(to.full - from.full);
  rates.outside = share(to.outside - from.outside);
  // Not every look asks the kernel. Another incarnation begins at 0.
  const auto asked = [](const Look& look) { return look.usage.has_value(); };
  const auto first = std::find_if(kept.looks.begin(), kept.looks.end(), asked);
  const auto last = std::find_if(kept.looks.rbegin(), kept.looks.rend(), asked);
  if (first != kept.looks.end() && &*first != &*last) {
    const auto before =
        last->incarnation == first->incarnation ? first->usage->cpu_time : std::chrono::nanoseconds{0};
    const auto time_of = [&](const Look& look) {
      return times_[static_cast<std::size_t>(&look - kept.looks.data())];
    };
    rates.cpu = seconds_of(last->usage->cpu_time - before) / seconds_of(time_of(*last) - time_of(*first));
  }
  return rates;
}

std::optional<double> Rates::of(std::size_t stage) const {
  if (times_.size() < 2 || stage >= stages_.size()) return std::nullopt;
  double sum = 0;
  for (const OfWorker& worker : stages_[stage].workers)
    sum += (stages_[stage].source ? worker.out : worker.in).per_second(window_);
  return sum;
}

std::chrono::nanoseconds Rates::covered() const noexcept {
  return times_.size() < 2 ? std::chrono::nanoseconds{0} : times_.back() - times_.front();
}

}  // namespace sluice::detail
