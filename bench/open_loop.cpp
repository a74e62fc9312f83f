// SPDX-License-Identifier: Apache-2.0
#include "open_loop.hpp"

#include <csignal>
#include <sched.h>
#include <stdexcept>
#include <utility>

#include <fmt/format.h>

#include <sluice/ipc/waiting.hpp>
#include <sluice/sluice.hpp>

#include "child_run.hpp"
#include "peer.hpp"
#include "shared.hpp"

namespace sluice::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

struct Timed {
  std::uint64_t number;
  std::int64_t intended_ns;
  std::int64_t entered_ns;
  std::uint64_t on_schedule;  // 0 while the capacity is measured.
  std::uint64_t result;
  std::uint64_t rest[3];
};
static_assert(sizeof(Timed) == 64);

std::chrono::nanoseconds now() noexcept {
  return Clock::now().time_since_epoch();
}

// The same work in both phases, but only what was on the schedule counts.
struct Counted {
  Histogram* on_schedule;
  Histogram* saturated;

  void add(const Timed& event, std::chrono::nanoseconds time) const noexcept {
    (event.on_schedule != 0 ? on_schedule : saturated)->add(time);
  }
};

class Work {
 public:
  Work(Worker&, Counted waiting) : waiting_{waiting} {}
  void operator()(const Timed& event, Output<Timed>& out) {
    Timed result = event;
    const std::chrono::nanoseconds entered = now();
    waiting_.add(event, entered - std::chrono::nanoseconds{event.intended_ns});
    result.entered_ns = entered.count();
    constexpr int kSteps = 64;  // Each waits for the one before.
    for (int step = 0; step < kSteps; ++step)
      result.result = detail::mix(result.result + event.number);
    out.push(result);
  }

 private:
  Counted waiting_;
};

Pipeline pipeline_of(const Counted& waiting) {
  Pipeline pipeline{"open_loop"};
  pipeline.inlet<Timed>("in").to<Work>("work", StageOptions{.workers = 1}, waiting).outlet("out");
  return pipeline;
}

struct Spare {  // Where the times of the saturated phase go.
  Histogram waiting, work, end_to_end;
};

// The host: generator and taker in one thread, which never sleeps.
class Generator {
 public:
  Generator(Engine& engine, OpenLoopTimes& times, Spare& spare)
      : engine_{engine},
        in_{engine.inlet<Timed>("in")},
        out_{engine.outlet<Timed>("out")},
        times_{times},
        work_{&times.work, &spare.work},
        end_to_end_{&times.end_to_end, &spare.end_to_end} {}

  // Events a second of a pipeline that always has enough to do.
  double saturate(std::chrono::nanoseconds time) {
    constexpr std::uint64_t kUnderWay = 512;  // More than a batch, less than a lane.
    const auto warm = now() + time / 5;
    const auto end = warm + time;
    std::chrono::nanoseconds since{0};
    std::uint64_t taken = 0;
    // On a busy machine the worker may get no turn in so short a time.
    constexpr std::uint64_t kEnough = 10'000;
    for (auto at = now(); at < end || taken_ - taken < kEnough; at = now()) {
      if (at > end + 10s) throw std::runtime_error{"hardly anything came back in 10 s of full load"};
      if (since == 0ns && at >= warm) {
        since = at;
        taken = taken_;
      }
      if (sent_ - taken_ < kUnderWay) send(at, false);
      take();
    }
    const double seconds = std::chrono::duration<double>(now() - since).count();
    const double capacity = static_cast<double>(taken_ - taken) / seconds;
    settle();
    return capacity;
  }

  void burst(double events_a_second, const OpenLoop& wanted) {
    const double interval_ns = 1e9 / events_a_second;
    const auto count = static_cast<std::uint64_t>(static_cast<double>(wanted.burst.count()) / interval_ns);
    std::uint64_t kill_at = wanted.kill ? count / 2 : count;
    const auto start = now() + 10us;
    const auto give_up = start + wanted.burst + 10s;
    for (std::uint64_t i = 0; i < count;) {
      const auto intended =
          start + std::chrono::nanoseconds{static_cast<std::int64_t>(static_cast<double>(i) * interval_ns)};
      const auto at = now();
      if (at > give_up) throw std::runtime_error{"the schedule could not be kept by 10 s"};
      if (i == kill_at) {
        // Between two processes there is nobody to kill: then with a later event.
        const bool killed = engine_.signal_worker("work/0", SIGKILL);
        times_.kills += killed ? 1 : 0;
        kill_at = killed ? count : i + 1;
      }
      if (at >= intended) {
        send(intended, true);
        times_.late += at - intended > OpenLoopTimes::kLate ? 1 : 0;
        ++i;
      }
      take();
    }
    times_.sent += count;
    settle();
  }

 private:
  void send(std::chrono::nanoseconds intended, bool on_schedule) {
    const Timed event{sent_++, intended.count(), 0, on_schedule ? 1U : 0U, 0, {}};
    if (in_.push(event) != PushResult::accepted) throw std::runtime_error{"an event was not accepted"};
  }
  // Few at a time: the schedule is more urgent.
  std::size_t take() {
    constexpr std::size_t kAtOnce = 4;
    const std::size_t count = out_.poll(
        [this](const Timed& event) {
          const auto at = now();
          if (event.number != taken_++) in_order_ = false;
          work_.add(event, at - std::chrono::nanoseconds{event.entered_ns});
          end_to_end_.add(event, at - std::chrono::nanoseconds{event.intended_ns});
        },
        kAtOnce);
    if (!in_order_) throw std::runtime_error{"an event came back twice, not at all, or out of order"};
    if (count == 0) ipc::relax();
    return count;
  }
  void settle() {
    const auto give_up = now() + 10s;
    while (taken_ < sent_) {
      take();
      if (now() > give_up)
        throw std::runtime_error{fmt::format("{} events of {} came back in 10 s", taken_, sent_)};
    }
  }

  Engine& engine_;
  Inlet<Timed> in_;
  Outlet<Timed> out_;
  OpenLoopTimes& times_;
  Counted work_;
  Counted end_to_end_;
  std::uint64_t sent_ = 0;
  std::uint64_t taken_ = 0;
  bool in_order_ = true;
};

// The engine chooses among all units that this process may use; the host then takes the one that is left.
void use_both_units() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(0, &set);
  CPU_SET(1, &set);
  ::sched_setaffinity(0, sizeof(set), &set);
}
unsigned take_the_other_unit(const Engine& engine) {
  const std::string place = engine.stats().stages.front().workers.front().place;
  if (place != "0" && place != "1")
    throw std::runtime_error{"the worker has no unit of its own but " + place};
  const unsigned unit = place == "0" ? 1U : 0U;
  pin(unit);
  return unit;
}

// One loop of the control: the schedule of a burst, of which nothing is sent.
void look_at_the_clock(double events_a_second, std::chrono::nanoseconds start, std::chrono::nanoseconds time,
                       Histogram& late) {
  const double interval_ns = 1e9 / events_a_second;
  const auto count = static_cast<std::uint64_t>(static_cast<double>(time.count()) / interval_ns);
  for (std::uint64_t i = 0; i < count;) {
    const auto intended =
        start + std::chrono::nanoseconds{static_cast<std::int64_t>(static_cast<double>(i) * interval_ns)};
    const auto at = now();
    if (at >= intended) {
      late.add(at - intended);
      ++i;
    }
    ipc::relax();
  }
}

// Both loops at the same time. The host has the unit `host`.
void control(double events_a_second, std::chrono::nanoseconds time, OpenLoopTimes& times, unsigned host) {
  const auto start = now() + 10ms;
  const Peer other{Apart::processes, 1 - host,
                   [&] { look_at_the_clock(events_a_second, start, time, times.idle_worker); }};
  look_at_the_clock(events_a_second, start, time, times.idle_host);
}

// A rest in which what comes next is ready: the host does not sleep in it.
void rest(std::chrono::nanoseconds time) {
  for (const auto end = now() + time; now() < end;)
    ipc::relax();
}

int run(const OpenLoop& wanted, const Settings& settings, OpenLoopTimes& times, Spare& spare) {
  use_both_units();
  Engine engine{pipeline_of({&times.waiting, &spare.waiting}), settings};
  engine.start();
  const unsigned host = take_the_other_unit(engine);
  Generator generator{engine, times, spare};
  times.capacity = generator.saturate(wanted.saturated);
  for (unsigned burst = 0; burst < wanted.bursts; ++burst) {
    rest(wanted.rest);
    generator.burst(wanted.load * times.capacity, wanted);
  }
  engine.drain();
  if (wanted.control > 0ns) control(wanted.load * times.capacity, wanted.control, times, host);
  return 0;
}

}  // namespace

void report(const Histogram& times, benchmark::State& state) {
  for (const auto& [name, part] : {std::pair{"p50_ns", 0.5},
                                   {"p90_ns", 0.9},
                                   {"p99_ns", 0.99},
                                   {"p99.9_ns", 0.999},
                                   {"p99.99_ns", 0.9999}})
    state.counters[name] = times.quantile_ns(part);
  state.counters["max_ns"] = static_cast<double>(times.longest().count());
  state.counters["events"] = static_cast<double>(times.count());
}

std::string run_open_loop(const OpenLoop& wanted, const Settings& settings, OpenLoopTimes& times) {
  const Shared<Spare> spare;
  return run_child([&] { return run(wanted, settings, times, *spare); }).problem;
}

}  // namespace sluice::bench
