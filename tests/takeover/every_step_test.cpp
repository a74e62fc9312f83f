// SPDX-License-Identifier: Apache-2.0
// The master dies at each of its steps, while it does what it is there for: before and behind each system call, and behind each
// store into the segment. So do the checkpointer and the supervisor. What was begun comes to its end all the same, every event takes effect once, and no
// process is left that nobody knows.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include <sluice/detail/sanitizers.hpp>

#include "census.hpp"
#include "dying_master.hpp"
#include "support/clear_away.hpp"
#include "support/traced.hpp"

namespace sluice::test {
namespace {

// By which of its steps it is followed: before and behind each system call, or behind each store into the register.
enum class By { calls, stores };

class DyingMaster : public WithProcesses, public testing::WithParamInterface<std::tuple<std::size_t, By>> {
 protected:
  ~DyingMaster() override { clear_away(scratch_); }
  void TearDown() override {
    life_.reset();
    WithProcesses::TearDown();
  }

  const Task& task() const { return tasks()[std::get<0>(GetParam())]; }

  Settings settings() const {
    Settings settings = test_settings();
    settings.set("log.level", "off");
    settings.set("poison.attempts", "1");
    settings.set("poison.budget", "1000");
    settings.set("crash.budget", "1000");
    settings.set("restart.backoff_max", "1ms");
    settings.set("report.path", (scratch_ / "reports").string());
    for (const auto& [name, value] : task().settings)
      settings.set(name, name.ends_with(".path") ? (scratch_ / value).string() : value);
    return settings;
  }
  Pipeline pipeline() const {
    Pipeline pipeline{name_};
    pipeline.inlet<Item>("in").by(&Item::key).to<Frail>("count", {.workers = 2}).outlet("out");
    return pipeline;
  }
  Life& life() {
    if (!life_) {
      if (task().end == End::drained) ledger_ = {};
      life_ = std::make_unique<Life>(pipeline(), settings(), ledger_);
    }
    return *life_;
  }

  // Begins the task, and stands where the master, or who else is to die, begins with it.
  std::unique_ptr<Traced> follow() {
    pid_t victim = 0;
    EXPECT_TRUE(eventually([&] {
      victim = task().victim(life());
      return victim > 1 && victim != last_ && is_alive(victim);
    }));
    last_ = victim;
    const auto begin = [&] {
      life().remember();
      task().begin(life());
      ++begun_;
    };
    if (task().is_the_next_masters) return std::make_unique<Traced>(supervisor_of(life().engine()), begin);
    auto traced = std::make_unique<Traced>(victim);
    if (traced->stands()) begin();
    return traced;
  }
  // And told, if there is something to tell.
  bool is_done() { return task().done(life()) && (!task().kills_a_worker || told().size() >= restarts()); }
  // One step further; false once the task is done, or who is followed has ended.
  template <class Go>
  bool step(Traced& traced, Go&& go) {
    const auto until = std::chrono::steady_clock::now() + kDeadline;
    go();
    while (!traced.arrived(1ms)) {
      if (traced.ended() || is_done()) return false;
      if (std::chrono::steady_clock::now() < until) continue;
      ADD_FAILURE() << "it does not come to the end of its task";
      return false;
    }
    return true;
  }
  // How many calls, before and behind each, the task takes. This one dies at its end, as all do that are followed.
  std::size_t count_calls(bool& refused) {
    const auto traced = follow();
    refused = traced->refused();
    std::size_t calls = 0;
    while (step(*traced, [&] { traced->to_next_call(); }) && !is_done())
      ++calls;
    return calls;
  }
  // Which words of the register change meanwhile, and how often: as is seen by the instruction of who is followed, or else
  // before and behind its task. Not all need be by it.
  std::vector<std::pair<std::size_t, unsigned>> changed_words(bool& refused) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): an address that the kernel tells is a number.
    const auto* const words = reinterpret_cast<const volatile std::uint64_t*>(register_address());
    std::vector<std::uint64_t> before(register_.words());
    std::vector<unsigned> times(before.size(), 0);
    const auto look = [&] {
      for (std::size_t word = 0; word < before.size(); ++word) {
        const std::uint64_t now = words[word];
        times[word] += std::exchange(before[word], now) != now ? 1 : 0;
      }
    };
    const auto traced = follow();
    refused = traced->refused();
    std::copy(words, words + before.size(), before.begin());
    if (!task().can_be_stepped) {
      traced->let_go();
      EXPECT_TRUE(eventually([&] { return is_done(); }));
      look();
      ::kill(last_, SIGKILL);
    }
    // A task that waits for its time takes the more instructions the slower they are. What has changed by then is enough.
    constexpr std::size_t kLookForTheEnd = 512;
    const auto enough = std::chrono::steady_clock::now() + 40s;
    for (std::size_t instructions = 1; step(*traced, [&] { traced->to_next_instruction(); });
         ++instructions) {
      look();
      if (instructions % kLookForTheEnd != 0) continue;
      if (is_done() || std::chrono::steady_clock::now() > enough) break;
    }
    until_ = std::chrono::steady_clock::now() + 40s;
    std::vector<std::pair<std::size_t, unsigned>> changed;
    for (std::size_t word = 0; word < times.size(); ++word) {
      if (times[word] != 0) changed.emplace_back(word, times[word]);
    }
    return changed;
  }

  // It is dead, and what it had to do is done all the same.
  void audit() {
    if (task().may_leave_nobody && is_left_by_all()) {
      ++given_up_;
      life_.reset();
    } else if (task().end == End::none) {
      EXPECT_TRUE(eventually([&] { return is_done(); }));
      EXPECT_EQ(life().dead_letters(), life().bad());
      if (task().kills_a_worker) audit_deaths();
    } else {
      EXPECT_TRUE(life().engine().wait_for(kDeadline));
      EXPECT_EQ(life().engine().end(), task().end);
      life_.reset();
    }
    life().flow();
  }
  // Each death of a worker was counted once, and is in the reports, whoever died meanwhile.
  void audit_deaths() {
    EXPECT_GE(restarts(), begun_);
    // A replacement that has died with its master may be counted yet.
    EXPECT_TRUE(eventually([&] { return told().size() == restarts(); }))
        << told().size() << " deaths are told, and " << restarts() << " counted";
  }
  std::size_t restarts() {
    std::size_t sum = 0;
    for (const StageStats& stage : life().engine().stats().stages)
      sum += stage.restarts();
    return sum;
  }
  // The processes of workers whose deaths are in the reports; of some more than once.
  std::set<std::string> told() const {
    std::set<std::string> pids;
    std::ifstream reports{scratch_ / "reports" / "deaths.jsonl"};
    for (std::string line; std::getline(reports, line);) {
      const std::size_t pid = line.find(R"("pid":)");
      if (line.find(R"("report":"death")") != std::string::npos && pid != std::string::npos)
        pids.insert(line.substr(pid, line.find(',', pid) - pid));
    }
    return pids;
  }
  // Once it is known which of the two it is; else the task is done.
  bool is_left_by_all() {
    bool left = false;
    EXPECT_TRUE(eventually([&] {
      left = !error_of([&] { life().engine().wait_for(0ns); }).empty();
      return left || is_done();
    }));
    return left;
  }
  // Who is followed stands, and the others see what it has stored, before it dies; or it dies at once.
  static void linger(bool for_a_while) {
    if (for_a_while) std::this_thread::sleep_for(3ms);
  }
  std::size_t processes_at_most() const {
    std::size_t most = 0;
    const auto until = std::chrono::steady_clock::now() + 300ms;
    while (std::chrono::steady_clock::now() < until)
      most = std::max(most, processes_of(name_).size());
    return most;
  }

  void die_at_each_call() {
    bool refused = false;
    const std::size_t calls = count_calls(refused);
    if (refused) GTEST_SKIP() << kRefused;
    audit();
    // At each it dies twice, at once and a while later; where it waits for something again and again, once at some of them.
    constexpr std::size_t kMostStops = 150;
    const std::size_t stride = calls / kMostStops + 1;
    const std::size_t times = stride == 1 ? 2 : 1;
    std::size_t kills = 0;
    std::size_t tries = 0;
    for (std::size_t at = 0; at < calls && is_time(); at = ++tries / times * stride) {
      SCOPED_TRACE("at stop " + std::to_string(at) + " of " + std::to_string(calls));
      {
        const auto traced = follow();
        std::size_t gone = 0;
        while (gone <= at && step(*traced, [&] { traced->to_next_call(); }))
          ++gone;
        linger(tries % 2 != 0);
        // The task may take fewer calls this time: then it dies behind it.
        kills += gone > at ? 1 : 0;
      }
      audit();
    }
    EXPECT_GT(kills, 5U);
    std::printf("%zu deaths at %zu stops before and behind system calls; %u of them left nobody\n", kills,
                calls, given_up_);
  }
  void die_behind_each_store() {
    bool refused = false;
    const auto changed = changed_words(refused);
    if (refused) GTEST_SKIP() << kRefused;
    audit();
    std::size_t kills = 0;
    std::size_t words_of_others = 0;
    for (const auto& [word, times] : changed) {
      constexpr unsigned kMostOfOneWord = 3;
      bool reached = true;
      for (unsigned at = 0; at < 2 * std::min(times, kMostOfOneWord) && reached && is_time(); ++at) {
        SCOPED_TRACE("behind store " + std::to_string(at / 2) + " into word " + std::to_string(word));
        {
          const auto traced = follow();
          if (!traced->watch(register_address() + word * sizeof(std::uint64_t)))
            GTEST_SKIP() << "this machine watches no words";
          for (unsigned gone = 0; gone <= at / 2 && reached; ++gone)
            reached = step(*traced, [&] { traced->to_next_store(); });
          linger(at % 2 != 0);
        }
        audit();
        kills += reached ? 1 : 0;
        words_of_others += !reached && at == 0 ? 1 : 0;
      }
    }
    EXPECT_GT(kills, 0U);
    std::printf("%zu deaths behind stores into %zu words, and %zu words that it did not change again\n",
                kills, changed.size() - words_of_others, words_of_others);
  }

  std::string name_ = "dying-master-" + std::to_string(::getpid());

 private:
  static constexpr const char* kRefused = "this process may not follow another: see kernel.yama.ptrace_scope";

  std::uintptr_t register_address() {
    life();
    return register_.address();
  }
  bool is_time() const { return !HasFailure() && std::chrono::steady_clock::now() < until_; }

  fs::path scratch_ = [] {
    std::string name = "/dev/shm/sluice-dying-master-XXXXXX";
    return fs::path{::mkdtemp(name.data())};
  }();
  Register register_{pipeline(), settings()};
  Ledger ledger_;
  std::unique_ptr<Life> life_;
  pid_t last_ = 0;  // Who was killed last.
  unsigned given_up_ = 0;
  unsigned begun_ = 0;  // Tasks.
  // On a machine that is slow it dies at as many steps as there is time for.
  std::chrono::steady_clock::time_point until_ = std::chrono::steady_clock::now() + 40s;
};

TEST_P(DyingMaster, LosesNothingWhereverItDies) {
  const bool by_stores = std::get<1>(GetParam()) == By::stores;
  if (by_stores && SLUICE_ADDRESS_SANITIZER) GTEST_SKIP() << "single steps of sanitized code take too long";
  life();
  const std::size_t processes = processes_at_most();
  by_stores ? die_behind_each_store() : die_at_each_call();
  EXPECT_TRUE(eventually([&] { return processes_of(name_).size() <= processes; }))
      << "there are processes that nobody knows";
}

std::string name_of(const testing::TestParamInfo<std::tuple<std::size_t, By>>& info) {
  return tasks()[std::get<0>(info.param)].name +
         (std::get<1>(info.param) == By::calls ? "AtEachCall" : "BehindEachStore");
}
// host_edges.RoundCalls has the checkpointer's calls, with more that is lost; and a supervisor stores nothing into the register.
std::vector<std::tuple<std::size_t, By>> all_tasks() {
  std::vector<std::tuple<std::size_t, By>> all;
  for (std::size_t task = 0; task < tasks().size(); ++task) {
    if (tasks()[task].name != "IsTheCheckpointer") all.emplace_back(task, By::calls);
    if (!tasks()[task].may_leave_nobody) all.emplace_back(task, By::stores);
  }
  return all;
}
INSTANTIATE_TEST_SUITE_P(, DyingMaster, testing::ValuesIn(all_tasks()), name_of);

}  // namespace
}  // namespace sluice::test
