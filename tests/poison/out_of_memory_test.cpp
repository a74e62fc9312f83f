// SPDX-License-Identifier: Apache-2.0
// A worker that the kernel kills for its memory: told from any other SIGKILL by the count of its memory
// cgroup, and the event in its handler is to blame. Needs a cgroup that this process may make; without one it
// is skipped, aloud.

#include <cstring>
#include <fstream>
#include <optional>

#include <sluice/dead_letter.hpp>
#include <sluice/detail/sanitizers.hpp>

#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

// A sanitizer's own memory counts too.
constexpr std::uint64_t kLimitBytes = std::uint64_t{SLUICE_ADDRESS_SANITIZER ? 512 : 96} << 20;

// A memory cgroup of version 1 or 2 below this process's own, which this process joins and leaves again.
class MemoryCgroup {
 public:
  // `whole`: the kernel kills all of it, or nothing.
  static std::unique_ptr<MemoryCgroup> make(bool whole = false) {
    for (const auto& [controllers, mount, limit] :
         {std::tuple{"memory", "/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
          std::tuple{"", "/sys/fs/cgroup", "memory.max"}}) {
      const std::optional<std::string> path = path_of(controllers);
      if (!path) continue;
      const std::filesystem::path parent = mount + *path;
      const std::filesystem::path own = parent / ("sluice-test-" + std::to_string(::getpid()));
      std::error_code error;
      if (!std::filesystem::create_directory(own, error)) continue;
      if (!std::filesystem::exists(own / limit, error)) {
        std::filesystem::remove(own, error);  // Something else is mounted there.
        continue;
      }
      std::unique_ptr<MemoryCgroup> group{new MemoryCgroup{parent, own}};
      if (whole && !write(own / "memory.oom.group", 1)) continue;
      if (write(own / limit, kLimitBytes) &&
          write(own / "cgroup.procs", static_cast<std::uint64_t>(::getpid()))) {
        return group;
      }
    }
    return nullptr;
  }
  // What this process has started stays in it.
  void leave() const { write(parent_ / "cgroup.procs", static_cast<std::uint64_t>(::getpid())); }
  ~MemoryCgroup() {
    leave();
    // The last processes of a pipeline may be on their way out.
    eventually([this] {
      std::error_code error;
      return std::filesystem::remove(own_, error);
    });
  }
  MemoryCgroup(const MemoryCgroup&) = delete;
  MemoryCgroup& operator=(const MemoryCgroup&) = delete;

 private:
  MemoryCgroup(std::filesystem::path parent, std::filesystem::path own)
      : parent_{std::move(parent)}, own_{std::move(own)} {}

  static std::optional<std::string> path_of(const std::string& controllers) {
    std::ifstream file{"/proc/self/cgroup"};
    for (std::string line; std::getline(file, line);) {
      const std::size_t first = line.find(':');
      const std::size_t second = line.find(':', first + 1);
      if (second == std::string::npos) continue;
      if (line.substr(first + 1, second - first - 1) == controllers) return line.substr(second + 1);
    }
    return std::nullopt;
  }
  static bool write(const std::filesystem::path& file, std::uint64_t value) {
    std::ofstream out{file};
    return static_cast<bool>(out << value << std::flush);
  }

  std::filesystem::path parent_;
  std::filesystem::path own_;
};

// This process and what it starts are not what the kernel kills, as far as that may be said: but for who asks to be.
class Spared {
 public:
  Spared() { write(-1000); }
  ~Spared() { write(0); }
  Spared(const Spared&) = delete;
  Spared& operator=(const Spared&) = delete;

 private:
  static void write(int score) { std::ofstream{"/proc/self/oom_score_adj"} << score << std::flush; }
};

void take_more_than_there_is() {
  // The kernel prefers this process to the others.
  std::ofstream{"/proc/self/oom_score_adj"} << 1000 << std::flush;
  std::vector<char> hoard(4 * kLimitBytes);
  for (std::size_t at = 0; at < hoard.size(); at += 4096)
    static_cast<volatile char*>(hoard.data())[at] = 1;
}

// Another process of the group, which the kernel kills for its memory.
bool another_is_killed() {
  const pid_t other = ::fork();
  if (other == 0) {
    take_more_than_there_is();
    ::_exit(0);
  }
  int status = 0;
  return ::waitpid(other, &status, 0) == other && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

// Wants more memory for one of its items than there is.
struct Greedy {
  void operator()(const Item& item, Output<Item>& out) const {
    out.push(item);
    if (item.number == 37) take_more_than_there_is();
  }
};

class OutOfMemory : public WithProcesses {
 protected:
  ~OutOfMemory() override { clear_away(directory_); }

  // Little of its own, so that what is over is the handler's.
  Settings small() const {
    Settings settings = test_settings();
    settings.set("report.path", directory_.string());
    settings.set("state.bytes", "64KiB");
    settings.set("undo.bytes", "64KiB");
    return settings;
  }
  static Pipeline greedy() {
    Pipeline pipeline{"greedy"};
    pipeline.inlet<Item>("in").to<Greedy>("greedy").outlet("out");
    return pipeline;
  }

  std::filesystem::path directory_{std::filesystem::temp_directory_path() /
                                   ("sluice-memory-" + std::to_string(::getpid()))};
};

TEST_F(OutOfMemory, KillsAreBlamedOnTheEventThatWantedTooMuch) {
  const std::unique_ptr<MemoryCgroup> group = MemoryCgroup::make();
  if (group == nullptr) GTEST_SKIP() << "no memory cgroup can be made here";
  // While a killed worker gives its memory back the kernel looks for one more to kill, and for one more: supervisor and master
  // at once, the pipeline would be lost.
  const Spared spared;
  Engine engine{greedy(), small()};
  engine.start();
  group->leave();
  Collector<Item> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(100, 1))
    EXPECT_EQ(in.push(item), PushResult::accepted);
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), SizeIs(99));
  const std::vector<DeadLetter> letters = find_dead_letters(directory_);
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters.front().position, 37 * sizeof(Item));
  EXPECT_EQ(letters.front().signal, SIGKILL);
  EXPECT_EQ(letters.front().attempts, 3U);
  EXPECT_THAT(letters.front().cause, HasSubstr("out of memory"));
}

// The count of kills rises twice, and explains one death at most: who was born behind it is blamed for nothing.
TEST_F(OutOfMemory, KillsOfOtherProcessesAreNotBlamedOnAWorkerThatIsBornLater) {
  const std::unique_ptr<MemoryCgroup> group = MemoryCgroup::make();
  if (group == nullptr) GTEST_SKIP() << "no memory cgroup can be made here";
  const Spared spared;
  Pipeline pipeline{"modest"};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  ASSERT_TRUE(another_is_killed()) << "before the start";
  Engine engine{pipeline, small()};
  engine.start();
  const auto kill_from_outside = [&] {
    const std::uint32_t before = worker_of(engine, "echo/0").incarnation;
    EXPECT_TRUE(engine.signal_worker("echo/0", SIGKILL));
    EXPECT_TRUE(eventually([&] { return worker_of(engine, "echo/0").incarnation > before; }));
    return worker_of(engine, "echo/0").last_death;
  };
  EXPECT_EQ(kill_from_outside(), "killed");
  ASSERT_TRUE(another_is_killed());
  ASSERT_TRUE(another_is_killed());
  kill_from_outside();  // It lived when the count rose.
  EXPECT_EQ(kill_from_outside(), "killed");
  EXPECT_EQ(kill_from_outside(), "killed");
  group->leave();
  engine.stop();
}

// As docs/guide/lifecycle.md says of memory.oom.group.
TEST_F(OutOfMemory, KillsTheHostAsWellWhereTheGroupDiesAsAWhole) {
  const std::unique_ptr<MemoryCgroup> group = MemoryCgroup::make(true);
  if (group == nullptr) GTEST_SKIP() << "no memory cgroup of version 2 can be made here";
  const pid_t host = ::fork();
  if (host == 0) {
    Engine engine{greedy(), small()};
    engine.start();
    auto in = engine.inlet<Item>("in");
    for (const Item& item : items(100, 1))
      std::ignore = in.push(item);
    engine.wait();
    ::_exit(0);
  }
  group->leave();
  int status = 0;
  EXPECT_TRUE(eventually([&] { return ::waitpid(host, &status, WNOHANG) == host; }));
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
}

}  // namespace
}  // namespace sluice::test
