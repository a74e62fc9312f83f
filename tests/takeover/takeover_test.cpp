// SPDX-License-Identifier: Apache-2.0
// The death of the master and of the supervisor: the other of the two replaces it, the workers work on
// meanwhile, and every event takes effect exactly once.

#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>

#include "census.hpp"
#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class Takeover : public WithProcesses {};

// Waits for the master after the one that is counted in `before`, at work. That one is dead then, or has
// become the supervisor.
bool await_next_master(const Engine& engine, const Stats& before) {
  const bool came = eventually([&] {
    const Stats now = engine.stats();
    return now.masters > before.masters && now.master_at_work > before.master_at_work;
  });
  EXPECT_TRUE(!came || !is_alive(before.master) || supervisor_of(engine) == before.master);
  return came;
}

std::uint64_t events_in(const Engine& engine) {
  std::uint64_t sum = 0;
  for (const StageStats& stage : engine.stats().stages)
    sum += stage.events_in();
  return sum;
}

// An endless flow through two stages, which nobody pushes.
Pipeline flow() {
  Pipeline pipeline{"flow"};
  pipeline.source<Numbers>("numbers", ~std::uint32_t{0})
      .by(&Item::key)
      .to<Count>("count", {.workers = 2})
      .outlet("out");
  return pipeline;
}

Settings flow_settings() {
  Settings settings = test_settings();
  settings.set("lane.full", "drop_newest");  // Nobody pulls.
  return settings;
}

TEST_F(Takeover, LeavesTheWorkersOfADeadMasterAlone) {
  Engine engine{counting_pipeline(3), test_settings()};
  engine.start();
  const Stats before = engine.stats();
  const std::vector<pid_t> workers = pids_of(engine);
  ::kill(master_of(engine), SIGKILL);
  ASSERT_TRUE(await_next_master(engine, before));
  EXPECT_EQ(pids_of(engine), workers);
  EXPECT_EQ(engine.stats().stages[0].restarts(), 0U);
  Collector<Counted> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(10'000, 100))
    EXPECT_EQ(in.push(item), PushResult::accepted);
  engine.drain();
  EXPECT_THAT(out.all(), SizeIs(10'000));
}

TEST_F(Takeover, ReplacesWorkersThatDiedWhileThereWasNoMaster) {
  Engine engine{counting_pipeline(3), test_settings()};
  engine.start();
  const Stats before = engine.stats();
  const pid_t supervisor = leave_without_master(engine);
  ASSERT_TRUE(engine.signal_worker("count/1", SIGKILL));
  Collector<Counted> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(1'000, 100))
    EXPECT_EQ(in.push(item), PushResult::accepted);
  ::kill(supervisor, SIGCONT);
  ASSERT_TRUE(await_next_master(engine, before));
  // And of those that it took over.
  ASSERT_TRUE(engine.signal_worker("count/2", SIGKILL));
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "count/2").incarnation == 2; }));
  engine.drain();
  EXPECT_THAT(out.all(), SizeIs(1'000));
  EXPECT_EQ(worker_of(engine, "count/0").incarnation, 1U);
  EXPECT_EQ(worker_of(engine, "count/1").incarnation, 2U);
}

TEST_F(Takeover, WorkersWorkOnWhileThereIsNoMaster) {
  Engine engine{flow(), flow_settings()};
  engine.start();
  const Stats before = engine.stats();
  const pid_t supervisor = leave_without_master(engine);
  ASSERT_TRUE(eventually([&] { return !is_alive(static_cast<pid_t>(before.master)); }));
  for (int look = 0; look < 5; ++look) {
    const std::uint64_t seen = events_in(engine);
    EXPECT_TRUE(eventually([&] { return events_in(engine) > seen + 10'000; }));
  }
  EXPECT_EQ(engine.stats().masters, before.masters) << "nobody could fork one";
  ::kill(supervisor, SIGCONT);
  EXPECT_TRUE(await_next_master(engine, before));
}

TEST_F(Takeover, AMasterWhoseSupervisorDiedBecomesTheSupervisor) {
  Engine engine{counting_pipeline(2), test_settings()};
  engine.start();
  const Stats before = engine.stats();
  const std::vector<pid_t> workers = pids_of(engine);
  ::kill(supervisor_of(engine), SIGKILL);
  ASSERT_TRUE(await_next_master(engine, before));
  EXPECT_EQ(supervisor_of(engine), before.master);
  EXPECT_EQ(parent_of(master_of(engine)), supervisor_of(engine));
  EXPECT_EQ(pids_of(engine), workers);
  engine.stop();
  // It is nobody's child here, so that nobody waits for the last moments of its exit.
  EXPECT_TRUE(eventually([&] { return !is_alive(before.master); }));
  for (const pid_t worker : workers)
    EXPECT_FALSE(is_alive(worker));
}

TEST_F(Takeover, AStopThatNoMasterHeardIsHonouredByTheNext) {
  Engine engine{flow(), flow_settings()};
  engine.start();
  const std::vector<pid_t> workers = pids_of(engine);
  const pid_t supervisor = leave_without_master(engine);
  const auto start = std::chrono::steady_clock::now();
  std::thread later{[supervisor] {
    std::this_thread::sleep_for(300ms);
    ::kill(supervisor, SIGCONT);
  }};
  engine.stop();
  EXPECT_GE(std::chrono::steady_clock::now() - start, 300ms) << "there was nobody to hear it";
  later.join();
  EXPECT_TRUE(engine.over());
  for (const pid_t worker : workers)
    EXPECT_FALSE(is_alive(worker));
}

TEST_F(Takeover, ADrainNeedsNoMasterButForItsEnd) {
  Engine engine{flow(), flow_settings()};
  engine.start();
  const pid_t supervisor = leave_without_master(engine);
  engine.begin_drain();
  EXPECT_TRUE(eventually(
      [&] { return worker_of(engine, "count/0").finished && worker_of(engine, "count/1").finished; }));
  EXPECT_FALSE(engine.wait_for(10ms));
  ::kill(supervisor, SIGCONT);
  EXPECT_TRUE(engine.wait_for(kDeadline));
}

TEST_F(Takeover, AStopEndsASupervisorAndAMasterThatHang) {
  Engine engine{flow(), flow_settings()};
  engine.start();
  const std::vector<pid_t> workers = pids_of(engine);
  ::kill(supervisor_of(engine), SIGSTOP);
  ::kill(master_of(engine), SIGSTOP);
  engine.stop();
  EXPECT_FALSE(is_alive(supervisor_of(engine)));
  EXPECT_FALSE(is_alive(master_of(engine)));
  for (const pid_t worker : workers)
    EXPECT_FALSE(is_alive(worker));
}

// Its workers go on, and nobody else would see that none of them is replaced any more.
TEST_F(Takeover, AMasterThatSomebodyHasStoppedIsToldOf) {
  std::string path = (std::filesystem::temp_directory_path() / "sluice-log-XXXXXX").string();
  const Descriptor log{::mkstemp(path.data())};
  const auto says = [&path](const std::string& words) {
    return eventually([&] {
      std::ifstream file{path};
      return std::string{std::istreambuf_iterator<char>{file}, {}}.find(words) != std::string::npos;
    });
  };
  Engine engine{flow(), flow_settings()};
  engine.log_to(log.get());
  engine.start();
  const pid_t master = master_of(engine);
  ::kill(master, SIGSTOP);
  EXPECT_TRUE(
      says("the master, process " + std::to_string(master) + ", was stopped by a signal: until it goes on"));
  ::kill(master, SIGCONT);
  EXPECT_TRUE(says("the master, process " + std::to_string(master) + ", goes on after"));
  // And one that was stopped is replaced as any.
  const Stats before = engine.stats();
  ::kill(master, SIGSTOP);
  ::kill(master, SIGKILL);
  EXPECT_TRUE(await_next_master(engine, before));
  engine.stop();
  std::filesystem::remove(path);
}

TEST_F(Takeover, NobodyOutlivesMasterAndSupervisorNotEvenTheHangingAndTheStopped) {
  Engine engine{counting_pipeline(3), test_settings()};
  engine.start();
  const std::vector<pid_t> workers = pids_of(engine);
  ASSERT_TRUE(engine.signal_worker("count/0", SIGUSR2));  // It hangs in its handler from now on.
  ASSERT_TRUE(engine.signal_worker("count/1", SIGSTOP));
  kill_control_plane_of(engine);
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }), HasSubstr("died before either could replace"));
  for (const pid_t worker : workers)
    EXPECT_FALSE(is_alive(worker));
}

// The next master finds workers that have nothing left to do, and does not wait for them.
TEST_F(Takeover, AfterAWorkerHasFinishedStillComesToTheEnd) {
  Pipeline pipeline{"partly"};
  const auto few = pipeline.source<Numbers>("few", std::uint32_t{10});
  few.merge(pipeline.inlet<Item>("in")).to<Echo>("echo").outlet("out");
  Engine engine{pipeline, test_settings()};
  engine.start();
  ASSERT_TRUE(
      eventually([&] { return worker_of(engine, "few/0").finished && worker_of(engine, "few/0").pid == 0; }));
  const Stats before = engine.stats();
  ::kill(master_of(engine), SIGKILL);
  ASSERT_TRUE(await_next_master(engine, before));
  Collector<Item> out{engine, "out"};
  EXPECT_EQ(engine.inlet<Item>("in").push(Item{}), PushResult::accepted);
  engine.inlet<Item>("in").close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), SizeIs(11));
  // One whose pid was withdrawn, and whose end was not noted yet, comes once more to say so. That is no death.
  EXPECT_EQ(worker_of(engine, "few/0").restarts, 0U);
  EXPECT_LE(worker_of(engine, "few/0").incarnation, 2U);
}

TEST_F(Takeover, AMasterThatCrashesAgainAndAgainIsNotReplacedForEver) {
  Engine engine{counting_pipeline(1), test_settings()};
  engine.start();
  // By a signal that it could have earned itself; one that lives for a second begins anew, so there is no pause.
  constexpr int kMost = 200;
  int crashes = 0;
  for (; crashes < kMost && !engine.over(); ++crashes) {
    const Stats before = engine.stats();
    ::kill(before.master, SIGSEGV);
    const bool next = eventually([&] {
      const Stats now = engine.stats();
      return (now.masters > before.masters && now.master != before.master) || !is_alive(before.supervisor);
    });
    ASSERT_TRUE(next);
    if (!is_alive(before.supervisor)) break;
  }
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }), HasSubstr("crash"));
  EXPECT_GE(engine.stats().masters, 6U) << "five crashes in a row are forgiven";
  EXPECT_LT(crashes, kMost);
}

TEST_F(Takeover, OfOnePipelineIsNoMatterOfAnotherOfTheSameHost) {
  Engine first{counting_pipeline(1), test_settings()};
  Engine second{counting_pipeline(1), test_settings()};
  second.start();
  first.start();
  kill_control_plane_of(first);
  EXPECT_THAT(error_of([&] { first.wait_for(kDeadline); }), HasSubstr("died before either could replace"));
  auto in = second.inlet<Item>("in");
  EXPECT_EQ(in.push(Item{}), PushResult::accepted);
  Collector<Counted> out{second, "out"};
  second.drain();
  EXPECT_THAT(out.all(), SizeIs(1));
}

// The ledger of what happened during the kills: who was killed how often, and how long it took.
struct Kills {
  std::uint64_t masters = 0;
  std::uint64_t supervisors = 0;
  std::uint64_t workers = 0;
  std::vector<std::chrono::nanoseconds> to_next_master;
};

std::string distribution(std::vector<std::chrono::nanoseconds> times) {
  if (times.empty()) return "";
  std::sort(times.begin(), times.end());
  const auto at = [&times](double share) {
    const auto index = static_cast<std::size_t>(share * static_cast<double>(times.size() - 1));
    return std::to_string(times[index].count() / 1000) + " us";
  };
  return "; killed to the next master at work: p50 " + at(0.5) + ", p90 " + at(0.9) + ", max " + at(1);
}

class KillsAtTheHead : public WithProcesses {
 protected:
  // Pushes items while `hurt` hurts the pipeline again and again; what comes out must be exact.
  void run(std::size_t kills, const std::function<void(Engine&, std::mt19937_64&, Kills&)>& hurt) {
    const std::uint64_t seed = std::random_device{}();
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937_64 random{seed};
    Settings settings = test_settings();
    settings.set("restart.budget", "100000");
    Engine engine{counting_pipeline(3, name_), settings};
    engine.start();
    const MasterCensus census{name_};
    Collector<Counted> out{engine, "out"};
    std::atomic<bool> enough{false};
    std::vector<Item> pushed;
    std::thread pusher{[&] {
      auto in = engine.inlet<Item>("in");
      constexpr std::uint32_t kMost = 20'000'000;
      for (std::uint32_t i = 0; !enough && i < kMost; ++i) {
        pushed.push_back({i % 500, i});
        EXPECT_EQ(in.push(pushed.back()), PushResult::accepted);
        if (i % 1024 == 0) std::this_thread::sleep_for(200us);  // Leaves the others some of the machine.
      }
    }};
    Kills done;
    for (std::size_t i = 0; i < kills && !HasFailure(); ++i) {
      std::this_thread::sleep_for(std::chrono::microseconds{random() % 3000});
      hurt(engine, random, done);
    }
    enough = true;
    pusher.join();
    const Stats stats = engine.stats();
    if (engine.over()) ADD_FAILURE() << error_of([&] { engine.wait_for(kDeadline); });
    engine.drain();
    audit(pushed, out.all());
    std::cout << done.masters << " masters, " << done.supervisors << " supervisors and " << done.workers
              << " workers killed among " << pushed.size() << " events, seed " << seed << "; "
              << stats.masters << " masters" << distribution(done.to_next_master) << "\n";
  }

  static void audit(const std::vector<Item>& pushed, const std::vector<Counted>& got) {
    ASSERT_EQ(got.size(), pushed.size());
    std::vector<std::uint32_t> seen(500, 0);
    for (const Counted& counted : got) {
      // In order, and counted once: the nth of its key is the one that was pushed as the nth.
      ASSERT_EQ(counted.nth, seen[counted.item.key]);
      ASSERT_EQ(counted.item.number, counted.item.key + 500 * seen[counted.item.key]);
      ++seen[counted.item.key];
    }
  }

  const std::string name_ = "takeover-" + std::to_string(::getpid());

  static void kill_master(Engine& engine, Kills& done) {
    const Stats before = engine.stats();
    const auto start = std::chrono::steady_clock::now().time_since_epoch();
    ::kill(master_of(engine), SIGKILL);
    ++done.masters;
    if (!await_next_master(engine, before)) {
      ADD_FAILURE() << "no master came";
      return;
    }
    done.to_next_master.push_back(engine.stats().master_at_work - start);
  }
};

TEST_F(KillsAtTheHead, OfMastersLoseNothing) {
  run(300, [](Engine& engine, std::mt19937_64&, Kills& done) { kill_master(engine, done); });
}

TEST_F(KillsAtTheHead, OfMastersAndWorkersLoseNothing) {
  run(300, [](Engine& engine, std::mt19937_64& random, Kills& done) {
    // Before, while there is no master, and after.
    const auto kill_worker = [&] {
      if (engine.signal_worker("count/" + std::to_string(random() % 3), SIGKILL)) ++done.workers;
    };
    if (random() % 2 == 0) kill_worker();
    const Stats before = engine.stats();
    ::kill(master_of(engine), SIGKILL);
    ++done.masters;
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 1000});
    kill_worker();
    EXPECT_TRUE(await_next_master(engine, before));
  });
}

TEST_F(KillsAtTheHead, OfSupervisorsAndMastersInTurnLoseNothingAndNeverLeaveTwoMasters) {
  run(300, [](Engine& engine, std::mt19937_64& random, Kills& done) {
    const Stats before = engine.stats();
    if (random() % 2 == 0) return kill_master(engine, done);
    ::kill(supervisor_of(engine), SIGKILL);
    ++done.supervisors;
    if (random() % 2 == 0 && engine.signal_worker("count/" + std::to_string(random() % 3), SIGKILL))
      ++done.workers;
    EXPECT_TRUE(await_next_master(engine, before));
  });
}

}  // namespace
}  // namespace sluice::test
