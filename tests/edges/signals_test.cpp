// SPDX-License-Identifier: Apache-2.0
// What a pipeline inherits from its host and its terminal, and has no use for: handlers of signals, signals to the
// process group, and standard descriptors that are closed.

#include <cstring>
#include <fcntl.h>
#include <sys/time.h>

#include <sluice/detail/interruption.hpp>

#include "child_status.hpp"
#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

volatile std::sig_atomic_t handled_here = 0;
int handled_elsewhere = -1;

// The host's handler: it counts here, and elsewhere it tells.
void host_handler(int) {
  handled_here = handled_here + 1;
  const char one = 'x';
  if (handled_elsewhere >= 0 && ::write(handled_elsewhere, &one, 1) != 1) ::_exit(9);
}

// Every signal to the group that would end or stop a process by its default, or that the host handles.
int survive_group_signals() {
  ::setpgid(0, 0);
  int told[2];
  if (::pipe2(told, O_NONBLOCK) != 0) return 2;
  handled_elsewhere = told[1];
  const std::vector<int> sent{SIGUSR1, SIGUSR2, SIGWINCH, SIGALRM, SIGVTALRM, SIGPROF,  SIGIO,
                              SIGHUP,  SIGTERM, SIGINT,   SIGQUIT, SIGPWR,    SIGRTMIN, SIGRTMAX};
  for (const int signal : sent)
    std::signal(signal, host_handler);
  Settings settings = test_settings();
  settings.set("watchdog.drill", "no");
  Engine engine{counting_pipeline(2, "grouped"), settings};
  engine.start();
  const std::vector<pid_t> before = pids_of(engine);
  const pid_t master = master_of(engine);
  for (const int signal : sent)
    ::kill(0, signal);
  Collector<Counted> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(1000, 10)) {
    if (in.push(item) != PushResult::accepted) return 3;
  }
  in.close();
  if (!engine.wait_for(30s) || out.all().size() != 1000) return 4;
  char buffer[1024];
  const ssize_t told_times = ::read(told[0], buffer, sizeof(buffer));
  if (told_times != static_cast<ssize_t>(handled_here))
    return 5;  // A handler of the host ran in another process.
  if (handled_here < 10) return 6;
  for (const StageStats& stage : engine.stats().stages) {
    for (const WorkerStats& worker : stage.workers) {
      if (worker.restarts != 0) return 7;
    }
  }
  return engine.stats().master == master || before.empty() ? 0 : 8;
}

TEST(GroupSignal, DoesNothingToAPipelineAndRunsTheHostsHandlerInTheHostAlone) {
  EXPECT_EQ(status_in_child(survive_group_signals), 0);
}

// Those of a processor and of limits, sent to the group of a host that ignores them. Workers are replaced.
int survive_what_the_host_ignores() {
  ::setpgid(0, 0);
  Engine engine{counting_pipeline(2, "grouped"), test_settings()};
  engine.start();
  const pid_t master = master_of(engine);
  const pid_t supervisor = supervisor_of(engine);
  for (const int signal : {SIGTRAP, SIGXCPU, SIGSYS}) {
    std::signal(signal, SIG_IGN);
    ::kill(0, signal);
  }
  Collector<Counted> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(1000, 10)) {
    if (in.push(item) != PushResult::accepted) return 3;
  }
  if (master_of(engine) != master || supervisor_of(engine) != supervisor) return 5;
  in.close();
  return engine.wait_for(30s) && out.all().size() == 1000 ? 0 : 4;
}

TEST(GroupSignal, ThatTheHostIgnoresEndsNeitherMasterNorSupervisor) {
  EXPECT_EQ(status_in_child(survive_what_the_host_ignores), 0);
}

// The descriptors 0 to 2 of all processes of the pipeline, and of this one.
int hold_no_standard_descriptor(const std::filesystem::path& told) {
  for (int fd = 0; fd <= 2; ++fd)
    ::close(fd);
  const std::filesystem::path directory =
      std::filesystem::temp_directory_path() / ("sluice-closed-" + std::to_string(::getpid()));
  Settings settings = test_settings();
  settings.set("report.path", directory.string());
  std::vector<pid_t> pids{::getpid()};
  int found = 0;
  {
    Engine engine{counting_pipeline(2, "closed"), settings};
    engine.start();
    for (const pid_t pid : pids_of(engine))
      pids.push_back(pid);
    pids.push_back(master_of(engine));
    pids.push_back(supervisor_of(engine));
    for (const pid_t pid : pids) {
      for (int fd = 0; fd <= 2; ++fd) {
        const std::string path = "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(fd);
        // What is opened has the lowest number until it is moved away from there, an instant later.
        std::filesystem::path target;
        const auto is_closed = [&] {
          std::error_code error;
          target = std::filesystem::read_symlink(path, error);
          return error.value() != 0;
        };
        if (eventually(is_closed, 10s)) continue;
        ++found;
        std::ofstream{told, std::ios::app} << path << " is " << target << '\n';
      }
    }
    engine.inlet<Item>("in").close();
    engine.wait_for(30s);
  }
  clear_away(directory);
  return found;
}

// The program around it may be asked for its end, and whoever asks waits.
int end_a_wait() {
  std::signal(SIGALRM, host_handler);
  Engine engine{counting_pipeline(1, "waited for"), test_settings()};
  engine.start();
  // Again and again: one may be handled before the wait begins.
  const itimerval alarms{{0, 20'000}, {0, 20'000}};
  const auto wait = [&engine] {
    const auto begin = std::chrono::steady_clock::now();
    return !engine.wait_for(60s) && std::chrono::steady_clock::now() - begin < 40s;
  };
  if (::setitimer(ITIMER_REAL, &alarms, nullptr) != 0) return 2;
  if (engine.wait_for(100ms)) return 3;
  const auto before = std::chrono::steady_clock::now();
  if (engine.wait_for(300ms) || std::chrono::steady_clock::now() - before < 300ms) return 4;
  detail::end_waits_by(&handled_here);
  if (!wait()) return 5;
  detail::end_waits_by(nullptr);
  const itimerval none{};
  return ::setitimer(ITIMER_REAL, &none, nullptr) == 0 ? 0 : 6;
}

TEST(AWait, EndsByASignalThatTheProgramCounts) {
  EXPECT_EQ(status_in_child(end_a_wait), 0);
}

TEST(StandardDescriptors, ThatAreClosedAreNotTakenByThePipeline) {
  const auto told = std::filesystem::temp_directory_path() / ("sluice-told-" + std::to_string(::getpid()));
  EXPECT_EQ(status_in_child([&] { return hold_no_standard_descriptor(told); }), 0)
      << std::string{std::istreambuf_iterator<char>{std::ifstream{told}.rdbuf()}, {}};
  std::filesystem::remove(told);
}

class Drill : public WithProcesses {};

TEST_F(Drill, IsDoneOnlyWhereItWasAskedFor) {
  Settings settings = test_settings();
  settings.set("watchdog.drill", "no");
  settings.set("watchdog.deadline", "50ms");
  Engine engine{counting_pipeline(1), settings};
  engine.start();
  ASSERT_TRUE(engine.signal_worker("count/0", SIGUSR2));
  std::this_thread::sleep_for(300ms);  // Six deadlines.
  EXPECT_EQ(worker_of(engine, "count/0").restarts, 0U);
}

// Outside kills alone never end a pipeline, however small its budget.
class OutsideKills : public WithProcesses {};

TEST_F(OutsideKills, AreReplacedHoweverManyThereAre) {
  Settings settings = test_settings();
  settings.set("restart.budget", "0");
  settings.set("restart.backoff_max", "2ms");
  Engine engine{counting_pipeline(1), settings};
  engine.start();
  Collector<Counted> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  std::uint32_t number = 0;
  for (int kill = 0; kill < 25; ++kill) {
    // Before it has achieved anything, as well as after.
    if (kill % 2 == 0) {
      ASSERT_EQ(in.push({0, number++}), PushResult::accepted);
    }
    ASSERT_TRUE(eventually([&] { return engine.signal_worker("count/0", SIGKILL); }));
    ASSERT_TRUE(
        eventually([&] { return worker_of(engine, "count/0").restarts > static_cast<unsigned>(kill); }));
  }
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(out.all().size(), number);
}

// The kernel takes a signal for a process that is dead and not reaped yet.
TEST_F(OutsideKills, OfAWorkerThatIsDeadAlreadyIsNone) {
  Engine engine{counting_pipeline(1), test_settings()};
  engine.start();
  const pid_t pid = worker_of(engine, "count/0").pid;
  const pid_t master = master_of(engine);
  ASSERT_GT(pid, 1);
  ASSERT_GT(master, 1);
  ASSERT_EQ(::kill(master, SIGSTOP), 0);  // It notices nothing.
  EXPECT_TRUE(engine.signal_worker("count/0", SIGKILL));
  EXPECT_TRUE(eventually([&] { return !is_alive(pid); }));
  EXPECT_FALSE(engine.signal_worker("count/0", SIGKILL));
  ASSERT_EQ(::kill(master, SIGCONT), 0);
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "count/0").restarts == 1; }));
}

// A handler that aborts in each event, whoever is to blame, is given a pause between its deaths.
struct Aborts {
  void operator()(const Item&) const {
    std::signal(SIGABRT, SIG_DFL);
    std::abort();
  }
};

TEST_F(OutsideKills, AndBlamedDeathsThatAchieveNothingAreFollowedByAPause) {
  Settings settings = test_settings();
  const auto reports =
      std::filesystem::temp_directory_path() / ("sluice-pause-" + std::to_string(::getpid()));
  settings.set("report.path", reports.string());
  settings.set("restart.backoff", "100ms");
  settings.set("poison.attempts", "3");
  Pipeline pipeline{"paused"};
  pipeline.inlet<Item>("in").to<Aborts>("aborts");
  Engine engine{pipeline, settings};
  engine.start();
  const auto start = std::chrono::steady_clock::now();
  auto in = engine.inlet<Item>("in");
  ASSERT_EQ(in.push({0, 0}), PushResult::accepted);
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_GE(std::chrono::steady_clock::now() - start, 100ms) << "half of 100 ms, and half of 200 ms at least";
  EXPECT_EQ(engine.stats().stages.front().workers.front().dead_letters, 1U);
  clear_away(reports);
}

}  // namespace
}  // namespace sluice::test
