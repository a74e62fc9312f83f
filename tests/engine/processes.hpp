// SPDX-License-Identifier: Apache-2.0
// What the tests with real processes share: deadlines, looks at the kernel's account of a process, and a host
// that pushes and pulls at the same time. Nothing here waits for ever, and nothing leaves a process behind.
#pragma once

#include <atomic>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>
#include <stdexcept>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <tuple>
#include <unistd.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/sluice.hpp>

#include "errors.hpp"

namespace sluice::test {

using namespace std::chrono_literals;

// Generous: it is reached only by a bug, also with sanitizers on a busy machine.
inline constexpr std::chrono::seconds kDeadline{60};

// Waits until `done`, not longer than the deadline; whether it was.
template <class Done>
bool eventually(Done&& done, std::chrono::nanoseconds deadline = kDeadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  while (!done()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(1ms);
  }
  return true;
}

// Puts a file in the place of a directory in which another process may be writing.
inline bool put_in_the_way(const std::filesystem::path& directory) {
  return eventually([&] {
    std::error_code busy;
    std::filesystem::remove_all(directory, busy);
    return !busy && bool(std::ofstream{directory} << "in the way");
  });
}

// Settings for tests: many restarts, no pinning that the neighbours on the machine would feel, no huge page of the
// machine's pool, which other tests count, and SIGUSR2 makes a worker hang.
inline Settings test_settings() {
  Settings settings;
  settings.set("restart.budget", "1000");
  settings.set("placement.policy", "none");
  settings.set("watchdog.deadline", "20s");
  settings.set("watchdog.drill", "yes");
  settings.set("memory.huge", "never");
  return settings;
}

// Workers have places, in which no pipeline of another test has a say.
inline Settings pinned_settings() {
  Settings settings = test_settings();
  settings.set("placement.policy", "compact");
  settings.set("placement.claims", "no");
  return settings;
}

// The numbers of a process's line in /proc/PID/stat behind its name: the state is [0]. Empty when it is gone.
inline std::vector<std::string> stat_of(pid_t pid) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/stat"};
  std::string text;
  std::getline(file, text);
  std::vector<std::string> fields;
  const std::size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return fields;
  std::istringstream rest{text.substr(name_end + 1)};
  for (std::string field; rest >> field;)
    fields.push_back(field);
  return fields;
}

inline bool is_alive(pid_t pid) {
  const std::vector<std::string> fields = stat_of(pid);
  return !fields.empty() && fields[0] != "Z" && fields[0] != "X";
}

inline bool is_stopped(pid_t pid) {
  const std::vector<std::string> fields = stat_of(pid);
  return !fields.empty() && fields[0] == "T";
}

inline pid_t parent_of(pid_t pid) {
  const std::vector<std::string> fields = stat_of(pid);
  return fields.size() < 2 ? 0 : static_cast<pid_t>(std::stol(fields[1]));
}

inline std::vector<pid_t> children_of(pid_t pid) {
  std::ifstream file{"/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children"};
  std::vector<pid_t> children;
  for (pid_t child = 0; file >> child;)
    children.push_back(child);
  return children;
}

inline std::chrono::milliseconds cpu_time_of(pid_t pid) {
  const std::vector<std::string> fields = stat_of(pid);
  if (fields.size() < 13) return {};
  const long ticks = std::stol(fields[11]) + std::stol(fields[12]);
  return std::chrono::milliseconds{ticks * 1000 / ::sysconf(_SC_CLK_TCK)};
}

inline std::size_t open_descriptors() {
  std::filesystem::directory_iterator entries{"/proc/self/fd"};
  return static_cast<std::size_t>(std::distance(entries, {}));
}

inline std::vector<pid_t> pids_of(const Engine& engine) {
  std::vector<pid_t> pids;
  for (const StageStats& stage : engine.stats().stages) {
    for (const WorkerStats& worker : stage.workers) {
      if (worker.pid != 0) pids.push_back(worker.pid);
    }
  }
  return pids;
}

inline WorkerStats worker_of(const Engine& engine, const std::string& name) {
  for (const StageStats& stage : engine.stats().stages) {
    for (const WorkerStats& worker : stage.workers) {
      if (worker.name == name) return worker;
    }
  }
  ADD_FAILURE() << "no worker " << name;
  return {};
}

// Kills the worker from outside. One that is just being replaced has the pid 0, which kill() would take for the whole group of
// this process, and of whatever runs the tests.
inline void kill_worker_of(const Engine& engine, const std::string& name) {
  pid_t pid = 0;
  ASSERT_TRUE(eventually([&] { return (pid = worker_of(engine, name).pid) > 1; })) << name;
  ::kill(pid, SIGKILL);
}

// Never a pid that kill() would take for a group of processes.
inline pid_t master_of(const Engine& engine) {
  const pid_t master = engine.stats().master;
  if (master > 1) return master;
  throw std::runtime_error{"the engine has no master"};
}

inline pid_t supervisor_of(const Engine& engine) {
  const pid_t supervisor = engine.stats().supervisor;
  if (supervisor > 1) return supervisor;
  throw std::runtime_error{"the engine has no supervisor"};
}

// Kills the master while the supervisor is stopped, so that nobody replaces it until the supervisor goes on.
// Gives the supervisor.
inline pid_t leave_without_master(const Engine& engine) {
  const pid_t supervisor = supervisor_of(engine);
  ::kill(supervisor, SIGSTOP);
  EXPECT_TRUE(eventually([supervisor] { return is_stopped(supervisor); }));
  ::kill(master_of(engine), SIGKILL);
  return supervisor;
}

// Kills supervisor and master so that neither can replace the other.
inline void kill_control_plane_of(const Engine& engine) {
  ::kill(leave_without_master(engine), SIGKILL);
}

// A test that starts processes: at its end none of them may be there any more.
class WithProcesses : public testing::Test {
 protected:
  void TearDown() override {
    EXPECT_TRUE(eventually([] { return children_of(::getpid()).empty(); })) << "a process was left behind";
  }
};

// Pulls all events of an outlet in a thread of its own, as hosts do.
template <Event T>
class Collector {
 public:
  using Owned = typename detail::Owned<T>::Type;

  Collector(Engine& engine, const std::string& outlet)
      : thread_{[this, end = engine.outlet<T>(outlet)]() mutable { collect(end); }} {}
  ~Collector() {
    if (thread_.joinable()) thread_.join();
  }
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  std::size_t count() const { return count_.load(); }
  // Asks for no more once there are that many, until it is told anew.
  void hold_at(std::size_t count) { hold_at_ = count; }
  // Everything, once the stream has ended.
  std::vector<Owned> all() {
    if (thread_.joinable()) thread_.join();
    return events_;
  }

 private:
  void collect(Outlet<T>& end) {
    auto last = std::chrono::steady_clock::now();
    while (!end.ended()) {
      if (std::chrono::steady_clock::now() > last + kDeadline) {
        ADD_FAILURE() << "nothing has come, and no end";
        return;
      }
      if (count_ >= hold_at_) {
        std::this_thread::sleep_for(100us);
        continue;
      }
      end.wait(100ms);
      const std::size_t came = end.poll([this](const T& event) { keep(event); });
      count_ += came;
      if (came != 0) last = std::chrono::steady_clock::now();
    }
  }
  void keep(const T& event) {
    if constexpr (std::same_as<T, Bytes>) {
      events_.emplace_back(event.text());
    } else {
      events_.push_back(event);
    }
  }

  std::vector<Owned> events_;
  std::atomic<std::size_t> count_{0};
  std::atomic<std::size_t> hold_at_{std::numeric_limits<std::size_t>::max()};
  std::thread thread_;
};

// Runs `pipeline`, which has the inlet "in" and the outlet "out", on `events`; what comes out. `meanwhile` is
// called after each push with the number of events pushed.
template <Event Out, class Events>
std::vector<typename detail::Owned<Out>::Type> run_processes(
    const Pipeline& pipeline, const Events& events, const Settings& settings,
    const std::function<void(Engine&, std::size_t)>& meanwhile = {}) {
  Engine engine{pipeline, settings};
  engine.start();
  Collector<Out> out{engine, "out"};
  auto in = engine.inlet<typename Events::value_type>("in");
  std::size_t pushed = 0;
  for (const auto& event : events) {
    EXPECT_EQ(in.push(event), PushResult::accepted);
    if (meanwhile) meanwhile(engine, ++pushed);
  }
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  return out.all();
}

}  // namespace sluice::test
