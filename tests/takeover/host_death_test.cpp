// SPDX-License-Identifier: Apache-2.0
// The death of the host: the pipeline stops at once, or handles what the host had pushed and ends, as the
// setting host.death says. Nothing is left running, and nothing is left in the file system.

#include <iostream>
#include <random>
#include <set>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "census.hpp"
#include "host/host.hpp"
#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {

using namespace detail;
namespace {

// Appends the number of every item to a file, and its last word behind them.
class Writer {
 public:
  Writer(Worker& worker, const std::filesystem::path& path) : file_{worker, "numbers", path} {}
  void operator()(const Item& item) { file_.append(std::to_string(item.number) + "\n"); }
  void finish() { file_.append("end\n"); }

 private:
  AppendFile file_;
};

class HostDeath : public testing::Test {
 protected:
  HostDeath() {
    std::filesystem::remove(path_);
    for (const auto& entry : std::filesystem::directory_iterator{"/dev/shm"})
      shared_files_.insert(entry.path());
    pushed_ = static_cast<std::atomic<std::uint32_t>*>(
        ::mmap(nullptr, sizeof(*pushed_), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  }
  ~HostDeath() override {
    ::munmap(pushed_, sizeof(*pushed_));
    std::filesystem::remove(path_);
  }

  // What every test ends with.
  void expect_nothing_left() {
    EXPECT_TRUE(eventually([this] { return processes_of(name_).empty(); })) << "a process was left behind";
    for (const auto& entry : std::filesystem::directory_iterator{"/dev/shm"}) {
      const std::string file = entry.path();
      EXPECT_TRUE(shared_files_.contains(file) || file.find(name_) == std::string::npos) << file;
    }
  }

  Settings settings(const char* death) const {
    Settings settings = test_settings();
    settings.set("host.death", death);
    return settings;
  }

  // Forks a host that runs `pipeline` and then `program` in a process of its own. The pids of its pipeline
  // come once it has started: those of supervisor, master and workers.
  void start_host(const Pipeline& pipeline, const Settings& settings,
                  const std::function<void(Engine&)>& program) {
    int pipe[2];
    ASSERT_EQ(::pipe(pipe), 0);
    host_ = ::fork();
    ASSERT_GE(host_, 0);
    if (host_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      Engine engine{pipeline, settings};
      engine.start();
      std::vector<pid_t> pids{supervisor_of(engine), master_of(engine)};
      for (const pid_t worker : pids_of(engine))
        pids.push_back(worker);
      pids.resize(kMostPids);
      const auto bytes = static_cast<ssize_t>(kMostPids * sizeof(pid_t));
      if (::write(pipe[1], pids.data(), static_cast<std::size_t>(bytes)) != bytes) ::_exit(1);
      program(engine);
      while (true)
        ::pause();
    }
    ::close(pipe[1]);
    pids_.resize(kMostPids);
    const auto bytes = static_cast<ssize_t>(kMostPids * sizeof(pid_t));
    EXPECT_EQ(::read(pipe[0], pids_.data(), static_cast<std::size_t>(bytes)), bytes);
    ::close(pipe[0]);
    std::erase(pids_, 0);
  }

  void kill_host() {
    ::kill(host_, SIGKILL);
    ::waitpid(host_, nullptr, 0);
  }

  // Pushes items for ever, and tells how many of them have been accepted.
  std::function<void(Engine&)> pusher() {
    return [this](Engine& engine) {
      auto in = engine.inlet<Item>("in");
      for (std::uint32_t i = 0; in.push({i % 7, i}) == PushResult::accepted; ++i)
        pushed_->store(i + 1);
    };
  }

  Pipeline writing_pipeline() const {
    Pipeline pipeline{name_};
    pipeline.inlet<Item>("in").to<Echo>("echo").to<Writer>("write", path_);
    return pipeline;
  }

  // The file holds every number from 0 once and in order, at least all that were accepted, and the last word.
  void expect_file_with_all_pushed() const {
    std::ifstream file{path_};
    std::uint32_t count = 0;
    std::string line;
    while (std::getline(file, line) && line != "end") {
      ASSERT_EQ(line, std::to_string(count));
      ++count;
    }
    EXPECT_EQ(line, "end");
    EXPECT_FALSE(std::getline(file, line)) << "something follows the last word";
    // The last push may have been published and not yet told.
    EXPECT_GE(count, pushed_->load());
    EXPECT_LE(count, pushed_->load() + 1);
  }

  static constexpr std::size_t kMostPids = 16;
  const std::string name_ = "host-death-" + std::to_string(::getpid());
  const std::filesystem::path path_ = std::filesystem::temp_directory_path() / name_;
  std::set<std::string> shared_files_;
  std::atomic<std::uint32_t>* pushed_ = nullptr;
  pid_t host_ = 0;
  std::vector<pid_t> pids_;
};

TEST_F(HostDeath, EndsThePipelineAtOnceByDefault) {
  start_host(counting_pipeline(3, name_), test_settings(), [](Engine&) {});
  ASSERT_EQ(pids_.size(), 5U);
  kill_host();
  for (const pid_t pid : pids_)
    EXPECT_TRUE(eventually([&] { return !is_alive(pid); })) << pid;
  expect_nothing_left();
}

TEST_F(HostDeath, TogetherWithSupervisorAndMasterLeavesNoWorkerNotEvenTheHangingAndTheStopped) {
  for (const char* death : {"stop", "drain"}) {
    start_host(counting_pipeline(3, name_), settings(death), [](Engine& engine) {
      engine.signal_worker("count/0", SIGUSR2);  // It hangs in its handler from now on.
      engine.signal_worker("count/1", SIGSTOP);
    });
    ASSERT_EQ(pids_.size(), 5U);
    EXPECT_TRUE(eventually([&] { return is_stopped(pids_[3]); }));
    for (const pid_t pid : {host_, pids_[0], pids_[1]})
      ::kill(pid, SIGSTOP);
    EXPECT_TRUE(eventually([&] { return is_stopped(pids_[0]) && is_stopped(pids_[1]); }));
    for (const pid_t pid : {pids_[0], pids_[1]})
      ::kill(pid, SIGKILL);
    kill_host();
    expect_nothing_left();
  }
}

TEST_F(HostDeath, AtARandomInstantDrainsWhatWasPushedIfAskedTo) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random{seed};
  constexpr int kRounds = 15;
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    std::filesystem::remove(path_);
    pushed_->store(0);
    start_host(writing_pipeline(), settings("drain"), pusher());
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 30'000});
    kill_host();
    expect_nothing_left();
    expect_file_with_all_pushed();
  }
}

TEST_F(HostDeath, DrainsAlsoIfMasterAndSupervisorDieMeanwhile) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random{seed};
  constexpr int kRounds = 10;
  for (int round = 0; round < kRounds && !HasFailure(); ++round) {
    std::filesystem::remove(path_);
    pushed_->store(0);
    Settings slow = settings("drain");
    slow.set("batch.events", "1");
    start_host(writing_pipeline(), slow, pusher());
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 30'000});
    // Before the host or after it, the supervisor or the master; never both, whom nobody could replace.
    const pid_t victim = pids_[random() % 2];
    if (random() % 2 == 0) ::kill(victim, SIGKILL);
    kill_host();
    ::kill(victim, SIGKILL);
    expect_nothing_left();
    expect_file_with_all_pushed();
  }
}

TEST_F(HostDeath, EndsSourcesAndLetsThemSayTheirLastWordIfAskedToDrain) {
  Pipeline pipeline{name_};
  pipeline.source<Numbers>("numbers", ~std::uint32_t{0}).to<Writer>("write", path_);
  start_host(pipeline, settings("drain"), [](Engine&) {});
  EXPECT_TRUE(eventually([this] { return std::filesystem::file_size(path_) > 100'000; }));
  kill_host();
  expect_nothing_left();
  std::ifstream file{path_};
  std::uint32_t count = 0;
  std::string line;
  for (; std::getline(file, line) && line != "end"; ++count)
    ASSERT_EQ(line, std::to_string(count));
  EXPECT_EQ(line, "end");
}

TEST_F(HostDeath, WaitsForNobodyWhoWouldPullIfAskedToDrain) {
  Settings tiny = settings("drain");
  tiny.set("lane.slots", "2");
  Pipeline pipeline{name_};
  pipeline.inlet<Item>("in").to<Multiply>("multiply", 100U).to<Echo>("echo").outlet("out");
  start_host(pipeline, tiny, pusher());
  // All lanes are full: the push blocks, since nobody pulls.
  std::uint32_t before = 0;
  EXPECT_TRUE(eventually([&] {
    const std::uint32_t now = pushed_->load();
    const bool blocked = now != 0 && now == before;
    before = now;
    std::this_thread::sleep_for(20ms);
    return blocked;
  }));
  kill_host();
  expect_nothing_left();
}

// Runs its neighbours by not waiting at all.
struct NoWaiter final : Waiter {
  ipc::Woken wait_until(const std::function<bool()>& ready, std::chrono::nanoseconds) override {
    return ready() ? ipc::Woken::ready : ipc::Woken::bound;
  }
  void pause(std::chrono::nanoseconds) override {}
};

TEST(LanesToADeadHost, DropAndCountWhatFindsNoRoom) {
  Settings tiny = test_settings();
  tiny.set("lane.slots", "2");
  Pipeline pipeline{"dead-host"};
  pipeline.inlet<Item>("in").to<Multiply>("multiply", 10'000U).outlet("out");
  Host host{pipeline.graph(), tiny};
  const Wiring& wiring = host.wiring();
  wiring.segment().open();
  wiring.segment().own_everything();
  NoWaiter waiter;
  host.open_ends(waiter);
  const EventType type = EventType::of<Item>();
  EXPECT_EQ(host.inlet("in", type).push(Item{}), PushResult::accepted);
  wiring.master().host_gone.store(1);
  WorkerLoop worker{wiring, WorkerIndex{0}, waiter};
  constexpr int kMostSteps = 10;
  for (int i = 0; i < kMostSteps && !worker.finished(); ++i)
    worker.step();
  EXPECT_TRUE(worker.finished()) << "the inlet was not closed, and nothing can follow";
  const Stats stats = host.stats();
  const WorkerStats& multiply = stats.stages[0].workers[0];
  EXPECT_GT(multiply.dropped, 0U);
  EXPECT_EQ(multiply.events_out + multiply.dropped, 10'000U);
}

}  // namespace
}  // namespace sluice::test
