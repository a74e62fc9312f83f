// SPDX-License-Identifier: Apache-2.0
// A pipeline in which all send to all: its processes have the mappings of their own lanes only, and whoever is killed comes back with
// those of its own; what looks at all of them, as a checkpoint does, needs none.

#include <filesystem>
#include <fstream>
#include <numeric>

#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

constexpr std::size_t kWorkers = 36;  // With a lane for each pair, and two mappings for each lane: 2,592.

class ManyLanes : public WithProcesses {};

struct Number {
  std::uint64_t value;
};

struct HandsOn {
  void operator()(const Number& number, Output<Number>& out) { out.push(number); }
};

class AddsUp {
 public:
  explicit AddsUp(Worker& worker) : sum_{worker.state<std::uint64_t>("sum")} {}
  void operator()(const Number& number, Output<Number>&) { sum_.edit() += number.value; }
  void finish(Output<Number>& out) { out.push(Number{*sum_}); }

 private:
  Recoverable<std::uint64_t> sum_;
};

Pipeline all_to_all() {
  Pipeline pipeline{"all_to_all"};
  pipeline.inlet<Number>("in")
      .to<HandsOn>("hand", {.workers = kWorkers})
      .by([](const Number& number) { return number.value; })
      .to<AddsUp>("add", {.workers = kWorkers})
      .outlet("out");
  return pipeline;
}

// Of the pipeline's memory.
std::size_t mappings_of(pid_t pid) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/maps"};
  std::size_t found = 0;
  for (std::string line; std::getline(file, line);)
    found += line.find("memfd:sluice") == std::string::npos ? 0 : 1;
  return found;
}

Settings small_lanes() {
  Settings settings = test_settings();
  settings.set("lane.slots", "64");
  return settings;
}

constexpr std::uint64_t kNumbers = 100'000;

std::vector<Number> numbers() {
  std::vector<Number> numbers(kNumbers);
  for (std::uint64_t i = 0; i < kNumbers; ++i)
    numbers[i].value = i;
  return numbers;
}

std::uint64_t sum_of(const std::vector<Number>& parts) {
  return std::accumulate(parts.begin(), parts.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const Number& part) { return sum + part.value; });
}

constexpr std::uint64_t kSum = kNumbers * (kNumbers - 1) / 2;

TEST_F(ManyLanes, AreMappedByThoseWhoUseThemOnly) {
  const auto look = [](Engine& engine, std::size_t pushed) {
    if (pushed != kNumbers / 2) return;
    // What every process has: the regions of both stages' workers, in two pieces each, and the whole. The host has more, of its lanes.
    const std::size_t without = mappings_of(master_of(engine));
    EXPECT_GT(without, 2 * kWorkers);
    EXPECT_LT(without, 4 * kWorkers + 20);
    // A worker has a lane from the inlet or to the outlet, and one for each of the other stage.
    for (const char* worker : {"hand/7", "add/7"}) {
      const std::size_t with = mappings_of(worker_of(engine, worker).pid);
      EXPECT_GE(with, without + kWorkers);
      EXPECT_LT(with, without + 2 * kWorkers + 10);
    }
  };
  EXPECT_EQ(sum_of(run_processes<Number>(all_to_all(), numbers(), small_lanes(), look)), kSum);
}

TEST_F(ManyLanes, ComeBackWithWhoeverIsKilled) {
  Settings settings = small_lanes();
  const std::filesystem::path checkpoints =
      std::filesystem::temp_directory_path() / ("sluice-many-lanes-" + std::to_string(::getpid()));
  settings.set("checkpoint.path", checkpoints.string());
  settings.set("checkpoint.every", "20ms");
  const auto disturb = [](Engine& engine, std::size_t pushed) {
    if (pushed % 2500 == 0) {
      const std::string stage = pushed % 5000 == 0 ? "hand/" : "add/";
      engine.signal_worker(stage + std::to_string(pushed / 2500 * 7 % kWorkers), SIGKILL);
    }
    if (pushed == kNumbers / 2) ::kill(master_of(engine), SIGKILL);
    if (pushed == kNumbers / 4 || pushed == kNumbers * 3 / 4) {
      const std::uint64_t before = engine.stats().checkpoints.written;
      EXPECT_TRUE(eventually([&] { return engine.stats().checkpoints.written > before; }));
    }
  };
  EXPECT_EQ(sum_of(run_processes<Number>(all_to_all(), numbers(), settings, disturb)), kSum);
  clear_away(checkpoints);
}

}  // namespace
}  // namespace sluice::test
