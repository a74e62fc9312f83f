// SPDX-License-Identifier: Apache-2.0
// Every verdict of the watchdog, provoked for real, again and again where that is cheap, and none misjudged.

#include <optional>
#include <sys/ptrace.h>

#include "cgroup.hpp"
#include "obedient.hpp"

namespace sluice::test {
namespace {

// Far from what the events below take: a virtual machine that stands still for some milliseconds makes a sleep longer, and
// nobody in it can know that it was not the handler's.
constexpr std::chrono::milliseconds kEventDeadline{100};

class Verdicts : public WithReports {
 protected:
  Settings impatient(std::chrono::milliseconds deadline = kEventDeadline) const {
    Settings settings = reporting_settings();
    settings.set("watchdog.deadline", std::to_string(deadline.count()) + "ms");
    // Many lives in a row end in the same batch, so that none of them achieves anything.
    settings.set("restart.backoff", "0s");
    return settings;
  }
  // Events that hang the first time, and some between them that do not.
  void expect_ended_each_time(Deed deed, std::uint32_t times) {
    Running running{impatient()};
    for (std::uint32_t i = 0; i < times; ++i) {
      running.push(Deed::pass);
      running.push(deed);
      running.push(Deed::pass);
    }
    // A deadline each of a processor that others use as well.
    ASSERT_TRUE(eventually([&] { return running.outlet->count() == running.pushed; }, 4 * kDeadline));
    EXPECT_EQ(running.worker().restarts, times) << "one for each, and none for those that do not hang";
    running.expect_all_delivered_in_order();
    EXPECT_EQ(stalls().size(), times);
  }
};

TEST_F(Verdicts, StalledIsAHandlerThatSpins) {
  expect_ended_each_time(Deed::spin_forever, 30);
}

TEST_F(Verdicts, StalledIsAHandlerThatSleeps) {
  expect_ended_each_time(Deed::sleep_forever, 60);
}

TEST_F(Verdicts, StalledIsAHandlerThatSpinsAndSleepsInTurns) {
  expect_ended_each_time(Deed::restless, 20);
}

TEST_F(Verdicts, IdleIsAStageWithoutInputHoweverLong) {
  Running running{impatient()};
  for (int i = 0; i < 100; ++i) {
    running.push(Deed::sleep_for, 1);
    ASSERT_TRUE(eventually([&] { return running.outlet->count() == running.pushed; }));
    ASSERT_TRUE(running.shows("idle"));
    // The first event after an idle while finds the clock at its beginning.
    std::this_thread::sleep_for(i % 10 == 0 ? 3 * kEventDeadline : 1ms);
    EXPECT_TRUE(running.shows("idle"));
  }
  running.expect_all_delivered_in_order();
  EXPECT_EQ(running.worker().restarts, 0U);
}

TEST_F(Verdicts, BackPressuredIsAStageWhoseLaneIsFullHoweverLong) {
  Settings settings = impatient();
  settings.set("lane.slots", "2");
  SharedDiary diary;
  Pipeline pipeline{"obedience"};
  pipeline.inlet<Order>("in").to<Obedient>("obedient", diary.get()).outlet("out");
  Engine engine{pipeline, settings};
  engine.start();
  auto in = engine.inlet<Order>("in");
  auto out = engine.outlet<Order>("out");
  const auto verdict = [&] { return worker_of(engine, "obedient/0").verdict; };
  std::uint32_t pushed = 0;
  std::uint32_t pulled = 0;
  std::thread pusher{[&] {
    // Far more than the lanes hold.
    while (pushed < 20'000 && in.push({Deed::pass, pushed, 0, 0}) == PushResult::accepted)
      ++pushed;
    in.close();
  }};
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(eventually([&] { return verdict() == "back-pressured"; })) << verdict();
    std::this_thread::sleep_for(i % 10 == 0 ? 3 * kEventDeadline : 1ms);
    EXPECT_TRUE(eventually([&] { return verdict() == "back-pressured"; })) << verdict();
    pulled += static_cast<std::uint32_t>(out.poll([](const Order&) {}, 100));
  }
  while (!out.ended()) {
    out.wait(100ms);
    pulled += static_cast<std::uint32_t>(out.poll([](const Order&) {}));
  }
  pusher.join();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(pulled, pushed);
  EXPECT_EQ(worker_of(engine, "obedient/0").restarts, 0U);
}

TEST_F(Verdicts, StoppedIsAWorkerThatGotASigstopInTheMidstOfAnEvent) {
  Running running{impatient()};
  std::uint32_t seen_stopped = 0;
  for (std::uint32_t i = 0; i < 100; ++i) {
    // The event needs most of its deadline, and is stopped for longer than all of it.
    running.push(i % 2 == 0 ? Deed::spin_for : Deed::sleep_for, 20);
    ASSERT_TRUE(eventually([&] { return running.diary->begun == i + 1; }));
    ASSERT_TRUE(running.engine.signal_worker("obedient/0", SIGSTOP));
    // On a busy machine it may have been done before it was stopped.
    const auto done = [&] { return running.outlet->count() == i + 1; };
    ASSERT_TRUE(eventually([&] { return done() || running.worker().verdict == "stopped"; }));
    if (!done()) ++seen_stopped;
    if (i % 10 == 0) std::this_thread::sleep_for(2 * kEventDeadline);
    ASSERT_TRUE(running.engine.signal_worker("obedient/0", SIGCONT));
    ASSERT_TRUE(eventually(done));
  }
  EXPECT_GT(seen_stopped, 0U);
  running.expect_all_delivered_in_order();
  EXPECT_EQ(running.worker().restarts, 0U);
}

TEST_F(Verdicts, StoppedIsAWorkerThatADebuggerHolds) {
  Running running{impatient()};
  std::uint32_t seen_stopped = 0;
  for (std::uint32_t i = 0; i < 20; ++i) {
    const pid_t pid = running.worker().pid;
    ASSERT_TRUE(running.shows("idle")) << "what it shows below is of this event";
    const SharedWord held;
    const SharedWord let_go;
    Subject debugger{[&] {
      while (running.diary->begun != i + 1)
        std::this_thread::sleep_for(100us);
      if (::ptrace(PTRACE_ATTACH, pid, 0, 0) != 0) ::_exit(1);
      ::waitpid(pid, nullptr, __WALL);
      held->store(1);
      while (let_go->load() == 0)
        std::this_thread::sleep_for(1ms);
      ::ptrace(PTRACE_DETACH, pid, 0, 0);
    }};
    running.push(Deed::sleep_for, 25);
    ASSERT_TRUE(eventually([&] { return held->load() == 1; }));
    // On a busy machine the event may be done before the debugger has come; who is idle then stays idle.
    const auto done = [&] { return running.outlet->count() == i + 1; };
    ASSERT_TRUE(eventually([&] { return done() || running.worker().verdict == "stopped"; }));
    if (!done()) {
      ++seen_stopped;
      std::this_thread::sleep_for(2 * kEventDeadline);
      EXPECT_TRUE(running.shows("stopped"));
    }
    let_go->store(1);
    ASSERT_TRUE(debugger.dead(kDeadline));
    ASSERT_TRUE(eventually(done));
    EXPECT_EQ(running.worker().pid, pid);
  }
  EXPECT_GT(seen_stopped, 0U);
  running.expect_all_delivered_in_order();
}

// The kernel lets go of what a dead tracer has held.
TEST_F(Verdicts, StoppedIsAWorkerUntilTheDebuggerThatHoldsItHasDied) {
  Running running{impatient()};
  for (std::uint32_t i = 0; i < 20; ++i) {
    const pid_t pid = running.worker().pid;
    const SharedWord held;
    Subject debugger{[&] {
      while (running.diary->begun != i + 1)
        std::this_thread::sleep_for(100us);
      if (::ptrace(PTRACE_ATTACH, pid, 0, 0) != 0) ::_exit(1);
      ::waitpid(pid, nullptr, __WALL);
      held->store(1);
      sleeps_here();
    }};
    running.push(Deed::sleep_for, 25);
    ASSERT_TRUE(eventually([&] { return held->load() == 1; }));
    // It may have been done before the debugger came, and stays idle then.
    const auto done = [&] { return running.outlet->count() == i + 1; };
    ASSERT_TRUE(eventually([&] { return done() || running.worker().verdict == "stopped"; }));
    ::kill(debugger.pid(), SIGKILL);
    ASSERT_TRUE(debugger.dead(kDeadline));
    ASSERT_TRUE(eventually(done));
    EXPECT_EQ(running.worker().pid, pid);
  }
  running.expect_all_delivered_in_order();
}

// Its tracer keeps a dead process from its parent, and need not let go of it.
TEST_F(Verdicts, DeadIsAWorkerThatIsKilledWhileADebuggerHoldsIt) {
  Running running{impatient()};
  for (std::uint32_t i = 0; i < 3; ++i) {
    const pid_t pid = running.worker().pid;
    const SharedWord attached;
    const Subject debugger{[&] {
      if (::ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) attached->store(1);
      sleeps_here();
    }};
    ASSERT_TRUE(eventually([&] { return attached->load() == 1; }));
    ASSERT_TRUE(running.engine.signal_worker("obedient/0", SIGKILL));
    running.push(Deed::pass);
    ASSERT_TRUE(eventually([&] { return running.outlet->count() == i + 1; }))
        << "it is replaced all the same";
    EXPECT_EQ(running.worker().restarts, i + 1);
  }
  const pid_t master = master_of(running.engine);
  EXPECT_TRUE(eventually([&] {
    const std::vector<pid_t> children = children_of(master);
    return std::all_of(children.begin(), children.end(), is_alive);
  })) << "what the debuggers have let go of is reaped";
  running.expect_all_delivered_in_order();
}

TEST_F(Verdicts, UnkillableIsAWorkerThatStaysInStateD) {
  Running running{impatient()};
  for (std::uint32_t i = 0; i < 5; ++i) {
    running.push(Deed::vfork_for, 600);
    ASSERT_TRUE(running.shows("unkillable"));
    ASSERT_TRUE(eventually([&] { return running.outlet->count() == i + 1; }));
  }
  running.expect_all_delivered_in_order();
  EXPECT_EQ(running.worker().restarts, 0U);
}

// On one unit only, as it has said itself.
bool burns(const Subject& subject) {
  cpu_set_t units;
  CPU_ZERO(&units);
  return ::sched_getaffinity(subject.pid(), sizeof(units), &units) == 0 && CPU_COUNT(&units) == 1;
}

TEST_F(Verdicts, StarvedIsAWorkerWhoseProcessorOthersUse) {
  Settings settings = impatient();
  settings.set("placement.verify", "0s");  // It goes to a unit that is not its own, and would be put back.
  Running running{settings};
  for (std::uint32_t i = 0; i < 5; ++i) {
    {
      const auto burn = [] {
        stay_on_the_first_processor();
        while (true) {
        }
      };
      const Subject one{burn};
      const Subject another{burn};
      // Before they burn there it would have all that it wants.
      ASSERT_TRUE(eventually([&] { return burns(one) && burns(another); }));
      running.push(Deed::humble_spin_for, 15);
      ASSERT_TRUE(running.shows("starved"));
      std::this_thread::sleep_for(3 * kEventDeadline);
      EXPECT_EQ(running.worker().restarts, 0U);
    }
    // What else this machine does must not starve it for minutes.
    const sched_param none{};
    ::sched_setscheduler(running.worker().pid, SCHED_OTHER, &none);
    ASSERT_TRUE(eventually([&] { return running.outlet->count() == i + 1; }));
  }
  EXPECT_GE(running.worker().starved, 5U) << "it is counted";
  running.expect_all_delivered_in_order();
  EXPECT_EQ(running.worker().restarts, 0U);
}

TEST_F(Verdicts, StarvedIsAWorkerThatAQuotaThrottles) {
  CpuCgroup cgroup{"sluice-verdicts"};
  if (!cgroup.ok()) GTEST_SKIP() << "NO CPU QUOTA CAN BE SET HERE: " << cgroup.why_not();
  Running running{impatient()};
  cgroup.set_quota(5ms, 100ms);
  ASSERT_TRUE(cgroup.take_in(running.worker().pid));
  for (std::uint32_t i = 0; i < 4; ++i) {
    // 20 ms of its own, and 400 ms of wall time.
    running.push(i % 2 == 0 ? Deed::spin_for : Deed::threads_for, i % 2 == 0 ? 40 : 14);
    ASSERT_TRUE(running.shows("starved"));
    ASSERT_TRUE(eventually([&] { return running.outlet->count() == i + 1; }));
  }
  EXPECT_EQ(running.worker().restarts, 0U);
  // Who hangs is ended all the same, only later.
  running.push(Deed::spin_forever);
  ASSERT_TRUE(eventually([&] { return running.outlet->count() == 5; }));
  EXPECT_EQ(running.worker().restarts, 1U);
  running.expect_all_delivered_in_order();
}

TEST_F(Verdicts, VoidIsWhatALateWatchdogThinks) {
  Running running{impatient(400ms)};
  const pid_t master = master_of(running.engine);
  std::uint32_t seen_void = 0;
  for (std::uint32_t i = 0; i < 10; ++i) {
    running.push(i % 2 == 0 ? Deed::sleep_for : Deed::spin_for, 300);
    ASSERT_TRUE(eventually([&] { return running.diary->begun == i + 1; }));
    ASSERT_EQ(::kill(master, SIGSTOP), 0);
    std::this_thread::sleep_for(260ms);
    ASSERT_EQ(::kill(master, SIGCONT), 0);
    bool is_void = false;
    while (running.outlet->count() == i && !is_void)
      is_void = running.worker().verdict == "void";
    if (is_void) ++seen_void;
    ASSERT_TRUE(eventually([&] { return running.outlet->count() == i + 1; }));
  }
  EXPECT_GT(seen_void, 0U);
  running.expect_all_delivered_in_order();
  EXPECT_EQ(running.worker().restarts, 0U);
}

// The workers wait for nobody meanwhile, and are judged by nobody.
TEST_F(Verdicts, VoidIsAPauseOfTheWholePipeline) {
  Running running{impatient()};
  const pid_t master = master_of(running.engine);
  for (std::uint32_t i = 0; i < 12; ++i) {
    running.push(Deed::sleep_for, 25);
    ASSERT_TRUE(eventually([&] { return running.diary->begun == i + 1; }));
    ASSERT_EQ(::kill(master, SIGSTOP), 0);
    ASSERT_TRUE(running.engine.signal_worker("obedient/0", SIGSTOP));
    std::this_thread::sleep_for(3 * kEventDeadline);
    ASSERT_TRUE(running.engine.signal_worker("obedient/0", SIGCONT));
    ASSERT_EQ(::kill(master, SIGCONT), 0);
    ASSERT_TRUE(eventually([&] { return running.outlet->count() == i + 1; }));
  }
  running.expect_all_delivered_in_order();
  EXPECT_EQ(running.worker().restarts, 0U);
}

}  // namespace
}  // namespace sluice::test
