// SPDX-License-Identifier: Apache-2.0
#include "recovery_pipelines.hpp"

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <system_error>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>

namespace sluice::bench {

using namespace detail;
namespace {

struct Tick {
  std::uint64_t number;
};

class Feed {
 public:
  explicit Feed(Worker& worker) : next_{worker.state<std::uint64_t>("next")} {}
  bool operator()(Output<Tick>& out) {
    out.push({next_.edit()++});
    return true;
  }

 private:
  Recoverable<std::uint64_t> next_;
};

// Tables of this many slots of 64 bytes, as many as there is room for.
struct Shape {
  std::uint64_t tables = 0;
  std::uint64_t slots = 0;
  std::uint64_t keys = 0;  // In all tables together.
};

constexpr std::uint64_t kSlotBytes = 64;

Shape shape_of(std::uint64_t bytes) {
  if (bytes == 0) return {0, 0, 1};
  constexpr std::uint64_t kMostTables = 32;  // A stage may claim 64 pieces.
  std::uint64_t table_bytes = bytes & (~bytes + 1);
  while (bytes / table_bytes > kMostTables)
    table_bytes *= 2;
  const std::uint64_t tables = bytes / table_bytes;
  return {tables, table_bytes / kSlotBytes, bytes / 1024};
}

class Touch {
 public:
  Touch(Worker& worker, std::uint64_t bytes)
      : shape_{shape_of(bytes)},
        handled_{worker.state<std::uint64_t>("handled")},
        sum_{worker.state<std::uint64_t>("sum")} {
    for (std::uint64_t i = 0; i < shape_.tables; ++i)
      tables_.emplace_back(worker.table<std::uint64_t, Value>(fmt::format("rows{}", i), shape_.slots / 2));
  }
  void operator()(const Tick& tick) {
    ++handled_.edit();
    sum_.edit() += tick.number;
    if (tables_.empty()) return;
    const std::uint64_t key = tick.number % shape_.keys;
    ++tables_[key % shape_.tables][key].words[0];
  }
  // Each event was handled once: the numbers from 0 up add up.
  void finish() {
    const std::uint64_t count = *handled_;
    if (*sum_ != count * (count - 1) / 2) worker_sum_is_wrong();
  }

 private:
  [[noreturn]] static void worker_sum_is_wrong() {
    throw Error{{"add up", "the events handled", "one was lost or handled twice", "report it as a bug"}};
  }
  struct Value {
    std::uint64_t words[6];
  };
  Shape shape_;
  Recoverable<std::uint64_t> handled_;
  Recoverable<std::uint64_t> sum_;
  std::vector<Table<std::uint64_t, Value>> tables_;
};

Pipeline touched(std::uint64_t bytes) {
  Pipeline pipeline{"recovery"};
  const StageOptions options{.workers = 1, .state_bytes = bytes + (std::uint64_t{1} << 20)};
  pipeline.source<Feed>("feed").to<Touch>("touch", options, bytes);
  return pipeline;
}

// Works on its state alone: its output leads nowhere.
class Spin {
 public:
  explicit Spin(Worker& worker) : count_{worker.state<std::uint64_t>("count")} {}
  bool operator()(Output<Tick>&) {
    ++count_.edit();
    return true;
  }

 private:
  Recoverable<std::uint64_t> count_;
};

Pipeline neighbours() {
  Pipeline pipeline{"neighbours"};
  pipeline.source<Spin>("bystander");
  pipeline.source<Spin>("victim");
  return pipeline;
}

}  // namespace

PatientSettings::PatientSettings(const std::string& huge) {
  std::string name = (std::filesystem::temp_directory_path() / "sluice-bench-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) {
    throw Error{{"make the directory", name, errno_text(), "set TMPDIR to a directory that can be written"}};
  }
  directory_ = name;
  settings_.set("report.path", directory_);
  settings_.set("memory.huge", huge);
  settings_.set("restart.budget", "1M");
  settings_.set("observe.socket", "off");
  settings_.set("log.level", "error");  // It kills workers all the time: that is no news.
}

PatientSettings::~PatientSettings() {
  std::error_code error;
  std::filesystem::remove_all(directory_, error);
}

Touched::Touched(std::uint64_t state_bytes, const std::string& huge)
    : settings_{huge}, keys_{shape_of(state_bytes).keys}, engine_{touched(state_bytes), settings_.value()} {
  engine_.start();
}

std::uint64_t Touched::handled() const {
  return engine_.stats().stages.back().workers.front().events_in;
}

bool Touched::await_touched(std::chrono::nanoseconds limit) {
  const auto until = monotonic_now() + limit;
  while (handled() < 2 * keys_ || !engine_.stats().memory.settled) {
    if (monotonic_now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds{2});
  }
  return true;
}

std::chrono::nanoseconds Touched::kill(int signal) {
  // Between two processes there is nobody to kill: then the next look finds one.
  for (int look = 0; look < 1000; ++look) {
    const auto before = monotonic_now();
    if (engine_.signal_worker("touch/0", signal)) return before;
    std::this_thread::sleep_for(std::chrono::milliseconds{1});
  }
  throw Error{{"kill", "touch/0", "it has no process for a second", ""}};
}

std::optional<LifeStats> Touched::await_successor(std::chrono::nanoseconds killed,
                                                  std::chrono::nanoseconds limit) {
  // Whoever looks all the time takes part of a unit from those it looks at.
  const auto until = monotonic_now() + limit;
  while (monotonic_now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds{3});
    const Stats stats = engine_.stats();
    for (const LifeStats& life : stats.stages.back().workers.front().lives) {
      if (life.born > killed && life.first_event.count() != 0) return life;
    }
  }
  return std::nullopt;
}

double Touched::rate_over(std::chrono::nanoseconds time) {
  const std::uint64_t before = handled();
  const auto start = monotonic_now();
  std::this_thread::sleep_for(time);
  const double seconds = std::chrono::duration<double>(monotonic_now() - start).count();
  return static_cast<double>(handled() - before) / seconds;
}

std::optional<std::chrono::nanoseconds> Touched::await_rate(const Rate& wanted) {
  const auto until = monotonic_now() + wanted.limit;
  while (monotonic_now() < until) {
    if (rate_over(wanted.window) >= wanted.events_a_second) return monotonic_now();
  }
  return std::nullopt;
}

std::string Touched::end() {
  try {
    engine_.drain();
  } catch (const Error& error) {
    return error.what();
  }
  const Stats stats = engine_.stats();
  if (stats.stages.front().events_out() != stats.stages.back().events_in())
    return fmt::format("{} events were fed and {} handled", stats.stages.front().events_out(),
                       stats.stages.back().events_in());
  return {};
}

Neighbours::Neighbours() : engine_{neighbours(), settings_.value()} {
  engine_.start();
}

std::uint64_t Neighbours::bystanders_events() const {
  return engine_.stats().stages.front().workers.front().events_in;
}

bool Neighbours::kill() {
  return engine_.signal_worker("victim/0", SIGKILL);
}

}  // namespace sluice::bench
