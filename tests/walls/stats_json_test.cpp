// SPDX-License-Identifier: Apache-2.0
// What programs are told of a pipeline: the document of `sluice stats --json`, and the rates in it.
#include "observer/stats_json.hpp"

#include <sstream>

#include "observer/rates.hpp"
#include "watched.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using testing::HasSubstr;

// A stage of one worker whose counter is `count`.
Stats counted(std::uint64_t count) {
  Stats stats;
  StageStats stage;
  WorkerStats worker;
  worker.events_in = count;
  stage.workers.push_back(worker);
  stats.stages.push_back(stage);
  return stats;
}

TEST(CheckpointLine, FitsEightyColumns) {
  CheckpointStats checkpoints;
  EXPECT_EQ(to_text(checkpoints), "");
  checkpoints.wanted = true;
  checkpoints.written = 12'345'678;
  checkpoints.failures = 12'345'678;
  checkpoints.bytes = (std::uint64_t{1} << 40U) - 1;
  checkpoints.at = std::chrono::system_clock::now() - 8000h;
  checkpoints.pause = 123'456'789us;
  checkpoints.longest_pause = 987ms;
  std::istringstream lines{to_text(checkpoints)};
  for (std::string line; std::getline(lines, line);)
    EXPECT_LE(line.size(), 80U) << line;
  checkpoints.failures = 3;
  checkpoints.written = 1274;
  checkpoints.bytes = 1 << 20U;
  checkpoints.pause = 412us;
  EXPECT_THAT(to_text(checkpoints), HasSubstr("1 MiB, pause 412 us, at most 987 ms\n  3 not made"));
}

TEST(Rates, AreNotKnownAtTheFirstLook) {
  Rates rates{1s};
  EXPECT_FALSE(rates.of(0));
  rates.look(counted(5), 10s);
  EXPECT_FALSE(rates.of(0));
  EXPECT_FALSE(rates.of(0, 0));
  rates.look(counted(6), 11s);
  EXPECT_DOUBLE_EQ(rates.of(0).value_or(-1), 1.0);
  EXPECT_EQ(rates.covered(), 1s);
}

TEST(Rates, AreTheSameInEveryWindowForAStageThatCommitsInSteps) {
  Rates rates{1s};
  // 1,000 events every 0.4 s are 2,500 a second, wherever the looks fall.
  for (auto at = 0ms; at < 10s; at += 20ms) {
    rates.look(counted(static_cast<std::uint64_t>(at / 400ms) * 1000), at);
    if (at <= 2s) continue;
    EXPECT_NEAR(rates.of(0).value_or(0), 2500, 150) << at.count();
  }
}

TEST(Rates, FallToNothingOnceTheFlowEndsAndDoNotCountTheStillnessWhenItBeginsAgain) {
  Rates rates{1s};
  for (auto at = 0ms; at <= 2s; at += 20ms)
    rates.look(counted(static_cast<std::uint64_t>(at.count())), at);
  EXPECT_NEAR(rates.of(0).value_or(0), 1000, 1);
  for (auto at = 2020ms; at <= 60s; at += 20ms)
    rates.look(counted(2000), at);
  EXPECT_EQ(rates.of(0).value_or(-1), 0);
  for (auto at = 60020ms; at <= 60200ms; at += 20ms)
    rates.look(counted(2000 + static_cast<std::uint64_t>((at - 60s).count())), at);
  EXPECT_NEAR(rates.of(0).value_or(0), 1000, 1);
}

TEST(Rates, HaveTheSharesOfTheTimeThatWasWatched) {
  Rates rates{10s};
  Stats stats = counted(0);
  TimeStats& time = stats.stages[0].workers[0].time;
  time = {10s, 1s, 2s, 3s, 4s};
  rates.look(stats, 1s);
  time = {12s, 2s, 2s, 3500ms, 4s};
  rates.look(stats, 3s);
  const WorkerRates seen = rates.of(0, 0).value_or(WorkerRates{});
  EXPECT_DOUBLE_EQ(seen.busy, 0.5);
  EXPECT_DOUBLE_EQ(seen.waiting, 0);
  EXPECT_DOUBLE_EQ(seen.full, 0.25);
  EXPECT_DOUBLE_EQ(seen.outside, 0);
}

TEST(Rates, TakeProcessorTimeFromTheLooksThatHaveIt) {
  Rates rates{10s};
  Stats stats = counted(0);
  const auto look = [&](std::chrono::seconds at, std::optional<UsageStats> usage) {
    stats.stages[0].workers[0].usage = usage;
    rates.look(stats, at);
  };
  look(1s, std::nullopt);
  look(2s, UsageStats{1s, 0});
  look(3s, std::nullopt);
  EXPECT_DOUBLE_EQ(rates.of(0, 0).value_or(WorkerRates{}).cpu, 0);
  look(4s, UsageStats{2s, 0});
  look(5s, std::nullopt);
  EXPECT_DOUBLE_EQ(rates.of(0, 0).value_or(WorkerRates{}).cpu, 0.5);
}

class StatsJson : public WithSocket {};

std::string document(const Observer& observer) {
  return to_json(observer.snapshot(), {}, Rates{1s}, observer.settings(), monotonic_now());
}

TEST_F(StatsJson, SaysWhatRunsWithWhichSettingsAndWhatItsWorkersHaveDone) {
  Settings chosen = settings();
  chosen.set("lane.slots", "512", Origin::command_line);
  Watched run{chosen};
  const WorkerStats first = worker_of(run.engine, "count/0");
  ::kill(first.pid, SIGKILL);
  EXPECT_TRUE(eventually([&] { return worker_of(run.engine, "count/0").incarnation == 2; }));
  const Observer observer = Observer::attach(socket_);
  std::string text;
  EXPECT_TRUE(eventually([&] {
    text = document(observer);
    return text.find("null,\"incarnation\"") == std::string::npos;
  }));
  EXPECT_THAT(text, testing::StartsWith("{\"schema\":1,\"time\":\"20"));
  EXPECT_THAT(text, HasSubstr("\"memory\":{\"bytes\":"));
  EXPECT_THAT(text,
              HasSubstr("\"pipeline\":\"counting\",\"version\":\"" + run.engine.stats().version + "\""));
  EXPECT_THAT(text, HasSubstr("\"state\":\"running\""));
  EXPECT_THAT(text, HasSubstr("\"processes\":{\"host\":" + std::to_string(::getpid()) +
                              ",\"supervisor\":" + std::to_string(supervisor_of(run.engine)) +
                              ",\"master\":" + std::to_string(master_of(run.engine)) + "}"));
  EXPECT_THAT(text, HasSubstr("\"restarts\":1,\"last_death\":{\"cause\":\"killed\",\"signal\":9,"));
  EXPECT_THAT(text, HasSubstr("{\"key\":\"lane.slots\",\"value\":\"512\",\"origin\":\"command line\"}"));
  EXPECT_THAT(text, HasSubstr("\"from\":\"in\",\"to\":\"count/0\",\"events\":0,\"bytes\":0,"));
  EXPECT_THAT(text, HasSubstr("\"to\":\"out\",\"events\":"));
  EXPECT_THAT(text, HasSubstr("\"bottleneck\":{\"stage\":null,"));
}

TEST_F(StatsJson, CountsTheMemoryThatIsAWorkersOwnAndNotTheSegment) {
  const Watched run{settings()};
  const Observer observer = Observer::attach(socket_);
  Snapshot snapshot;
  EXPECT_TRUE(eventually([&] {
    snapshot = observer.snapshot();
    return snapshot.stats.stages[0].workers[0].usage.has_value();
  }));
  const WorkerStats& worker = snapshot.stats.stages[0].workers[0];
  ASSERT_TRUE(worker.usage);
  EXPECT_GT(worker.usage->cpu_time.count(), 0);
  EXPECT_GT(worker.usage->own_bytes, 4096U);
  // All resident pages but those of files and of shared memory.
  std::ifstream statm{"/proc/" + std::to_string(worker.pid) + "/statm"};
  std::uint64_t pages = 0;
  std::uint64_t resident = 0;
  std::uint64_t shared = 0;
  ASSERT_TRUE(statm >> pages >> resident >> shared);
  constexpr std::uint64_t kMeanwhile = 64;
  EXPECT_LE(worker.usage->own_bytes / 4096, resident - shared + kMeanwhile);
  EXPECT_GT(worker.region_bytes, 4096U);
}

TEST_F(StatsJson, CountsTheEventsThatWaitInALane) {
  const Watched run{settings()};
  std::uint64_t events = 0;
  for (const LaneStats& lane : Observer::attach(socket_).snapshot().lanes) {
    if (lane.to != "out") continue;
    events += lane.events.value_or(0);
    EXPECT_EQ(lane.bytes, lane.events.value_or(0) * sizeof(Counted));
    EXPECT_GE(lane.capacity_bytes, lane.bytes);
  }
  EXPECT_EQ(events, Watched::kItems);
}

TEST_F(StatsJson, CountsTheRecordsThatWaitInALane) {
  constexpr std::uint64_t kPushed = 7;
  Pipeline pipeline{"held"};
  pipeline.inlet<Bytes>("in").to<EchoBytes>("echo").outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  const Observer observer = Observer::attach(socket_);
  const auto waiting = [&](std::size_t lane) {
    return observer.snapshot().lanes.at(lane).events.value_or(99);
  };
  const pid_t echo = worker_of(engine, "echo/0").pid;
  ::kill(echo, SIGSTOP);
  EXPECT_TRUE(eventually([echo] { return is_stopped(echo); }));
  auto in = engine.inlet<Bytes>("in");
  for (std::uint64_t i = 0; i < kPushed; ++i)
    EXPECT_EQ(in.push(Bytes{std::string(i * 10, 'x')}), PushResult::accepted);
  EXPECT_EQ(waiting(0), kPushed);
  ::kill(echo, SIGCONT);
  EXPECT_TRUE(eventually([&] { return waiting(1) == kPushed; }));
  EXPECT_EQ(waiting(0), 0U);
  engine.stop();
}

TEST_F(StatsJson, TellsHowAWorkersTimeWasSpent) {
  const Watched run{settings()};
  const TimeStats before = worker_of(run.engine, "count/0").time;
  TimeStats after;
  EXPECT_TRUE(eventually([&] {
    after = worker_of(run.engine, "count/0").time;
    return after.waiting - before.waiting >= 300ms;
  }));
  EXPECT_GE(after.watched - before.watched, after.waiting - before.waiting);
  EXPECT_LT(after.full + after.outside, after.waiting);
}

}  // namespace
}  // namespace sluice::test
