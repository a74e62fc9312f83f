// SPDX-License-Identifier: Apache-2.0
// Standing still as a mechanism of its own: asked for, reached, released. A park is one use of it.

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <sys/prctl.h>
#include <utility>

#include <sluice/detail/process_name.hpp>

#include "host/host.hpp"
#include "master/standstill.hpp"
#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {

using namespace detail;
namespace {

constexpr WorkerIndex kFirst{0};

Child process_of_the_first(const Wiring& wiring) {
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    DoorbellWaiter waiter{{}, wiring.worker(kFirst).control(), wiring.bell(kFirst)};
    WorkerLoop loop{wiring, kFirst, waiter};
    while (loop.step() != WorkerLoop::Step::finished)
      loop.wait_for_input();
    ::_exit(0);
  }
  Child child{kFirst, wiring.settings(), wiring.settings(kFirst)};
  child.pid = pid;
  child.pidfd = open_pidfd(pid);
  return child;
}

TEST(Standstill, IsReachedAtACommitAndCanBeReleased) {
  Pipeline pipeline{"standstill"};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  Host host{pipeline.graph(), test_settings()};
  const Wiring& wiring = host.wiring();
  wiring.segment().own_everything();
  ipc::Control& own = wiring.host().control();
  DoorbellWaiter waiter{{}, own, wiring.bell(kHostProcess)};
  host.open_ends(waiter);
  Children children;
  children.push_back(process_of_the_first(wiring));
  const auto committed = [&] { return wiring.worker(kFirst).commit().committed.load(); };
  HostInlet& in = host.inlet("in", EventType::of<Item>());
  Standstill standstill{wiring, children};
  for (std::uint32_t round = 0; round < 20; ++round) {
    EXPECT_FALSE(standstill.asked());
    EXPECT_FALSE(standstill.reached());
    standstill.ask();
    EXPECT_TRUE(eventually([&] { return standstill.reached(); }));
    const std::uint64_t before = committed();
    EXPECT_EQ(in.push(Item{0, round}), PushResult::accepted);
    std::this_thread::sleep_for(5ms);
    EXPECT_EQ(committed(), before) << "it stands still";
    standstill.release();
    EXPECT_TRUE(eventually([&] { return committed() > before; })) << "and goes on";
  }
  in.close();
  EXPECT_TRUE(eventually([&] { return ::waitpid(children[kFirst].pid, nullptr, WNOHANG) != 0; }));
}

// Keeps from its beginning by what it is known.
class Named {
 public:
  explicit Named(Worker& worker) : name_{worker.state<pid_t>("name")} {
    if (*name_ == 0) name_.edit() = ::getpid();
  }
  void operator()(const Item& item, Output<Item>& out) { out.push(item); }

 private:
  Recoverable<pid_t> name_;
};

// A checkpoint that was restored without it would be gone on with by a handler that does not know its own files.
TEST(Standstill, ComesBehindWhatAHandlerKeepsWhenItIsMade) {
  Pipeline pipeline{"standstill"};
  pipeline.inlet<Item>("in").to<Named>("named").outlet("out");
  Host host{pipeline.graph(), test_settings()};
  const Wiring& wiring = host.wiring();
  wiring.segment().own_everything();
  Children children;
  Standstill standstill{wiring, children};
  standstill.ask();
  children.push_back(process_of_the_first(wiring));
  EXPECT_TRUE(eventually([&] { return standstill.reached(); }));
  EXPECT_EQ(wiring.worker(kFirst).commit().committed.load(), 1U);
  ::kill(children[kFirst].pid, SIGKILL);
  ::waitpid(children[kFirst].pid, nullptr, 0);
}

// Does not come back from an event before a file is there.
class Held {
 public:
  explicit Held(std::filesystem::path directory) : directory_{std::move(directory)} {}
  void operator()(const Item&) const {
    std::ofstream{directory_ / "came"} << "here";
    while (!std::filesystem::exists(directory_ / "go"))
      std::this_thread::sleep_for(1ms);
  }

 private:
  std::filesystem::path directory_;
};

class StandstillOfAPark : public WithProcesses {
 protected:
  StandstillOfAPark() {
    std::string name = (std::filesystem::temp_directory_path() / "sluice-standstill-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~StandstillOfAPark() override { clear_away(directory_); }
  Settings settings() const {
    Settings settings = test_settings();
    settings.set("segment.path", (directory_ / "segment").string());
    return settings;
  }

  std::filesystem::path directory_;
};

TEST_F(StandstillOfAPark, IsWhatAWorkerIsSaidToBeInAndNoWaitForTheOutside) {
  Pipeline pipeline{"standstill"};
  pipeline.inlet<Item>("in").to<Echo>("echo").to<Held>("held", directory_);
  Engine engine{pipeline, settings()};
  engine.start();
  EXPECT_EQ(engine.inlet<Item>("in").push({0, 1}), PushResult::accepted);
  EXPECT_TRUE(eventually([&] { return std::filesystem::exists(directory_ / "came"); }));
  engine.begin_park();
  // Until its master has looked, it is what it was.
  std::string said;
  EXPECT_TRUE(eventually([&] {
    said = worker_of(engine, "echo/0").verdict;
    return said != "idle" && said != "busy";
  }));
  EXPECT_EQ(said, "standing still");
  std::ofstream{directory_ / "go"} << "on";
  engine.park();
}

// By its name it has let go of what it does not need; 0: not yet.
pid_t log_writer_of(const Engine& engine) {
  for (const pid_t child : children_of(supervisor_of(engine))) {
    std::string name;
    std::ifstream{"/proc/" + std::to_string(child) + "/comm"} >> name;
    if (name == detail::kLogWriterName) return child;
  }
  return 0;
}

// The process that writes the log is stopped, and lives longer than the pipeline.
TEST_F(StandstillOfAPark, LeavesTheFileToTheNextStartWhateverHoldsUpTheLogWriter) {
  Pipeline pipeline{"standstill"};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  pid_t stopped = 0;
  {
    Engine engine{pipeline, settings()};
    engine.start();
    ASSERT_EQ(engine.inlet<Item>("in").push({0, 1}), PushResult::accepted);
    ASSERT_TRUE(eventually([&] { return (stopped = log_writer_of(engine)) > 1; }));
    ::kill(stopped, SIGSTOP);
    EXPECT_TRUE(eventually([&] { return is_stopped(stopped); }));
    engine.park();
  }
  EXPECT_TRUE(is_stopped(stopped)) << "it was to outlive the pipeline";
  Engine engine{pipeline, settings()};
  EXPECT_NO_THROW(engine.start());
  EXPECT_TRUE(engine.resumed());
  ::kill(stopped, SIGKILL);
  engine.stop();
}

}  // namespace
}  // namespace sluice::test
