// SPDX-License-Identifier: Apache-2.0
// The engine as a neighbour: where its processes run, what they hold, what they cost, and that they go.

#include <algorithm>
#include <sched.h>
#include <set>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

using testing::SizeIs;

class Processes : public WithProcesses {};

struct Affinity {
  Affinity() {
    CPU_ZERO(&constructed);
    ::sched_getaffinity(0, sizeof(constructed), &constructed);
  }
  void operator()(const Item&, Output<std::uint64_t>& out) const {
    cpu_set_t now;
    CPU_ZERO(&now);
    ::sched_getaffinity(0, sizeof(now), &now);
    out.push(static_cast<std::uint64_t>(CPU_COUNT(&constructed)));
    out.push(CPU_EQUAL(&constructed, &now) ? 1 : 0);
  }
  cpu_set_t constructed{};
};

TEST_F(Processes, ConstructTheirHandlerOncePinned) {
  cpu_set_t mine;
  CPU_ZERO(&mine);
  ::sched_getaffinity(0, sizeof(mine), &mine);
  if (CPU_COUNT(&mine) < 2) GTEST_SKIP() << "one processor is one place";
  Pipeline pipeline{"affinity"};
  pipeline.inlet<Item>("in").to<Affinity>("affinity").outlet("out");
  const auto seen = run_processes<std::uint64_t>(pipeline, items(1, 1), pinned_settings());
  ASSERT_THAT(seen, SizeIs(2));
  EXPECT_LT(seen[0], static_cast<std::uint64_t>(CPU_COUNT(&mine)));
  EXPECT_EQ(seen[1], 1U) << "the constructor saw the place that the handler runs at";
}

TEST_F(Processes, LeaveTheHostWhereItWas) {
  cpu_set_t before;
  cpu_set_t after;
  ::sched_getaffinity(0, sizeof(before), &before);
  Engine engine{counting_pipeline(2), pinned_settings()};
  engine.start();
  ::sched_getaffinity(0, sizeof(after), &after);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

TEST_F(Processes, AreAllThereWhenTheStartReturns) {
  for (int i = 0; i < 30; ++i) {
    Engine engine{counting_pipeline(4), test_settings()};
    engine.start();
    EXPECT_THAT(pids_of(engine), SizeIs(4));
    EXPECT_TRUE(engine.signal_worker("count/3", 0));
  }
}

TEST_F(Processes, OfSixtyFourWorkersStartAndStop) {
  Engine engine{counting_pipeline(64), test_settings()};
  engine.start();
  const std::vector<pid_t> pids = pids_of(engine);
  EXPECT_EQ(std::set(pids.begin(), pids.end()).size(), 64U);
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(1000, 500))
    EXPECT_EQ(in.push(item), PushResult::accepted);
  Collector<Counted> out{engine, "out"};
  engine.drain();
  EXPECT_THAT(out.all(), SizeIs(1000));
  for (const pid_t pid : pids)
    EXPECT_FALSE(is_alive(pid));
}

TEST_F(Processes, AndDescriptorsAreGoneWithTheirEngine) {
  const auto run = [](bool to_the_end) {
    Engine engine{counting_pipeline(3), test_settings()};
    engine.start();
    auto in = engine.inlet<Item>("in");
    std::ignore = in.push(Item{});
    if (to_the_end) engine.drain();
  };
  run(true);  // What the library opens once for good.
  const std::size_t before = open_descriptors();
  for (int i = 0; i < 5; ++i)
    run(i % 2 == 0);
  { const Engine never_started{counting_pipeline(3), test_settings()}; }
  EXPECT_EQ(open_descriptors(), before);
}

TEST_F(Processes, LeaveNoZombieWhenTheyHaveEndedBeforeTheirEngine) {
  Pipeline pipeline{"short"};
  pipeline.source<Numbers>("numbers", 10U).outlet("out");
  Engine engine{pipeline, test_settings()};
  engine.start();
  // Nobody waits for the end: it has come when the engine is destroyed.
  EXPECT_TRUE(eventually([&] { return !is_alive(supervisor_of(engine)); }));
}

TEST_F(Processes, GoWithAHostThatIsKilled) {
  int pipe[2];
  ASSERT_EQ(::pipe(pipe), 0);
  const pid_t host = ::fork();
  ASSERT_GE(host, 0);
  if (host == 0) {
    Engine engine{counting_pipeline(3), test_settings()};
    engine.start();
    std::vector<pid_t> pids = pids_of(engine);
    pids.push_back(master_of(engine));
    const auto bytes = static_cast<ssize_t>(pids.size() * sizeof(pid_t));
    ::_exit(::write(pipe[1], pids.data(), static_cast<std::size_t>(bytes)) == bytes ? (::pause(), 0) : 1);
  }
  ::close(pipe[1]);
  std::vector<pid_t> pids(4);
  EXPECT_EQ(::read(pipe[0], pids.data(), 4 * sizeof(pid_t)), static_cast<ssize_t>(4 * sizeof(pid_t)));
  ::close(pipe[0]);
  ::kill(host, SIGKILL);
  ::waitpid(host, nullptr, 0);
  for (const pid_t pid : pids)
    EXPECT_TRUE(eventually([&] { return !is_alive(pid); })) << pid;
}

struct Quiet {
  SourceState operator()(Output<Item>&) const { return SourceState::nothing_now; }
};

// The share of one processor that the whole pipeline takes while nothing comes.
double idle_share(const Engine& engine) {
  std::vector<pid_t> pids = pids_of(engine);
  pids.push_back(master_of(engine));
  pids.push_back(::getpid());
  const auto cpu_time = [&pids] {
    std::chrono::milliseconds sum{0};
    for (const pid_t pid : pids)
      sum += cpu_time_of(pid);
    return sum;
  };
  std::this_thread::sleep_for(200ms);  // What the start leaves behind.
  const auto start = std::chrono::steady_clock::now();
  const auto before = cpu_time();
  std::this_thread::sleep_for(2s);
  const std::chrono::duration<double> spent = cpu_time() - before;
  return spent / std::chrono::duration<double>(std::chrono::steady_clock::now() - start);
}

// The least of some looks: what else goes on on the machine only adds to it.
double least_idle_share(const Engine& engine, double enough) {
  double least = idle_share(engine);
  for (int look = 1; look < 5 && least >= enough; ++look)
    least = std::min(least, idle_share(engine));
  return least;
}

TEST_F(Processes, ThatHaveNothingToDoTakeNoProcessor) {
  Engine engine{counting_pipeline(4), Settings{}};
  engine.start();
  std::ignore = engine.inlet<Item>("in").push(Item{});
  EXPECT_LT(least_idle_share(engine, 0.1), 0.1);
}

bool keeps_processors_awake(pid_t pid) {
  std::error_code gone;
  for (const auto& entry :
       std::filesystem::directory_iterator{"/proc/" + std::to_string(pid) + "/fd", gone}) {
    if (std::filesystem::read_symlink(entry.path(), gone) == "/dev/cpu_dma_latency") return true;
  }
  return false;
}

TEST_F(Processes, KeepProcessorsAwakeIfAskedAndNotTheirHost) {
  Settings settings = test_settings();
  settings.set("power.latency", "hold");
  Engine engine{counting_pipeline(1), settings};
  if (::access("/dev/cpu_dma_latency", W_OK) != 0) {
    EXPECT_THAT(error_of([&] { engine.start(); }), testing::HasSubstr("power.latency=try"));
    return;
  }
  engine.start();
  EXPECT_TRUE(keeps_processors_awake(master_of(engine)));
  EXPECT_TRUE(keeps_processors_awake(supervisor_of(engine)));
  EXPECT_FALSE(keeps_processors_awake(::getpid()));
  EXPECT_THAT(engine.placement(), testing::HasSubstr("deep idle states"));
}

TEST_F(Processes, LeaveProcessorsAloneUnlessAsked) {
  Engine engine{counting_pipeline(1), test_settings()};
  engine.start();
  EXPECT_FALSE(keeps_processors_awake(master_of(engine)));
}

TEST_F(Processes, OfASourceThatHasNothingNowTakeNoProcessor) {
  Pipeline pipeline{"quiet"};
  pipeline.source<Quiet>("quiet").outlet("out");
  Engine engine{pipeline, Settings{}};  // With a processor of its own it may spin, for a while.
  engine.start();
  EXPECT_LT(least_idle_share(engine, 0.1), 0.1);
}

}  // namespace
}  // namespace sluice::test
