// SPDX-License-Identifier: Apache-2.0
// Workers of every kind are killed with SIGKILL at random instants while a ledger passes through them; at the
// end every event has taken effect exactly once, in order, everywhere.
#include <chrono>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <iostream>
#include <random>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/sluice.hpp>

#include "ledger.hpp"

namespace {

class Ledger : public testing::Test {
 protected:
  Ledger()
      : path_{std::filesystem::temp_directory_path() / ("sluice-ledger-" + std::to_string(::getpid()))} {}
  ~Ledger() override { std::filesystem::remove(path_); }

  void audit(std::uint64_t entries) const { EXPECT_THAT(ledger::audit(path_, entries), testing::IsEmpty()); }

  // Kills until the pipeline has ended, `most` kills at the most; the number of kills.
  static std::uint64_t kill_until_the_end(sluice::Engine& engine, std::uint64_t seed, std::uint64_t most,
                                          std::chrono::microseconds pause) {
    const std::vector<std::string> workers{"deal/0", "wrap/0", "wrap/1", "book/0", "book/1", "statement/0"};
    std::mt19937_64 random{seed};
    std::uint64_t kills = 0;
    std::size_t next = 0;  // They take turns, so that each is hit.
    // Beside much else on the machine it takes its time, but goes on.
    constexpr std::chrono::seconds kPatience{120};
    auto deadline = std::chrono::steady_clock::now() + kPatience;
    std::uint64_t handled = 0;
    while (!engine.wait_for(pause * (random() % 1000) / 500)) {
      if (std::chrono::steady_clock::now() > deadline) {
        const sluice::Stats stats = engine.stats();
        std::uint64_t by_now = 0;
        for (const sluice::StageStats& stage : stats.stages)
          by_now += stage.events_in() + stage.events_out();
        if (std::exchange(handled, by_now) == by_now) {
          ADD_FAILURE() << "the pipeline did not end\n" << sluice::to_text(stats, {}, 0);
          return kills;
        }
        deadline = std::chrono::steady_clock::now() + kPatience;
      }
      if (kills < most && engine.signal_worker(workers[next++ % workers.size()], SIGKILL)) ++kills;
    }
    return kills;
  }

  void run(std::uint64_t entries, std::uint64_t most_kills, const std::vector<std::string>& assignments) {
    const std::uint64_t seed = std::random_device{}();
    sluice::Settings settings;
    settings.set("restart.budget", "100000");
    for (const std::string& assignment : assignments)
      settings.set_assignment(assignment);
    sluice::Engine engine{ledger::pipeline(entries, path_), settings};
    engine.start();
    const std::uint64_t kills = kill_until_the_end(engine, seed, most_kills, std::chrono::microseconds{1000});
    const sluice::Stats stats = engine.stats();
    std::cout << kills << " kills, seed " << seed << "\n" << sluice::to_text(stats, {}, 0);
    for (const sluice::StageStats& stage : stats.stages) {
      EXPECT_GT(stage.restarts(), 0U) << "no worker of stage " << stage.name << " was killed, seed " << seed;
      for (const sluice::WorkerStats& worker : stage.workers) {
        EXPECT_EQ(worker.unasked_wakes, 0U) << worker.name << ", seed " << seed;
      }
    }
    SCOPED_TRACE("seed " + std::to_string(seed));
    audit(entries);
  }

  std::filesystem::path path_;
};

TEST_F(Ledger, IsExactWithoutKills) {
  constexpr std::uint64_t kEntries = 100'000;
  sluice::Engine engine{ledger::pipeline(kEntries, path_), {}};
  engine.start();
  ASSERT_TRUE(engine.wait_for(std::chrono::seconds{60}));
  audit(kEntries);
}

TEST_F(Ledger, IsExactWhileWorkersOfEveryKindAreKilled) {
  run(20'000'000, 2'000, {});
}

TEST_F(Ledger, IsExactWhileWorkersAreKilledBehindTinyLanes) {
  // Lanes that hold a few events: most deaths come while somebody waits for room.
  run(600'000, 400, {"lane.slots=2", "lane.bytes=4KiB"});
}

TEST_F(Ledger, IsExactWhileWorkersAreKilledWithBatchesOfOne) {
  run(600'000, 500, {"batch.events=1"});
}

TEST_F(Ledger, IsExactWhileWorkersAreKilledWithASmallUndoLog) {
  run(6'000'000, 1'000, {"undo.bytes=4KiB"});
}

}  // namespace
