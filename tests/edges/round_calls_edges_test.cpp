// SPDX-License-Identifier: Apache-2.0
// What makes checkpoints dies at every system call of a round: the master, which orders it and answers for a standstill, and the
// checkpointer, which asks for the standstill, copies, and publishes. Nobody stays frozen, and the next checkpoint comes.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <functional>
#include <memory>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "with_checkpoints.hpp"

namespace sluice::test {
namespace {

// A process that this one follows from call to call: it stands before each, and behind each.
class Followed {
 public:
  explicit Followed(pid_t process) : process_{process} {
    if (::ptrace(PTRACE_SEIZE, process, nullptr, PTRACE_O_TRACESYSGOOD) != 0) {
      refused_ = errno == EPERM;
      return;
    }
    stands_ = ::ptrace(PTRACE_INTERRUPT, process, nullptr, nullptr) == 0 && wait_for_stop();
  }
  ~Followed() { kill(); }
  Followed(const Followed&) = delete;
  Followed& operator=(const Followed&) = delete;

  bool refused() const noexcept { return refused_; }
  // To the next; false when it has ended.
  bool go_on() {
    stands_ = stands_ && ::ptrace(PTRACE_SYSCALL, process_, nullptr, signal_) == 0 && wait_for_stop();
    return stands_;
  }
  void kill() {
    if (!stands_) return;
    stands_ = false;
    ::kill(process_, SIGKILL);
    int status = 0;
    while (::waitpid(process_, &status, __WALL) == process_ && WIFSTOPPED(status)) {
    }
  }

 private:
  // It may wait for its next order meanwhile.
  bool wait_for_stop() {
    constexpr auto kLongest = 20s;
    const auto until = std::chrono::steady_clock::now() + kLongest;
    int status = 0;
    pid_t stopped = 0;
    while ((stopped = ::waitpid(process_, &status, __WALL | WNOHANG)) == 0) {
      if (std::chrono::steady_clock::now() > until) {
        ADD_FAILURE() << process_ << " makes no system call for 20 s";
        return false;
      }
      std::this_thread::sleep_for(20us);
    }
    if (stopped != process_ || !WIFSTOPPED(status)) return false;
    // Neither a call nor the interrupt: a signal, which is its own.
    const bool ours = (static_cast<unsigned>(WSTOPSIG(status)) & 0x7fU) == SIGTRAP;
    signal_ = ours ? 0 : WSTOPSIG(status);
    return true;
  }

  pid_t process_;
  int signal_ = 0;
  bool stands_ = false;
  bool refused_ = false;
};

class RoundCalls : public WithCheckpoints {
 protected:
  using Victim = std::function<pid_t(Engine&)>;

  static pid_t await_victim(Engine& engine, const Victim& victim, pid_t before) {
    pid_t process = 0;
    EXPECT_TRUE(eventually([&] {
      process = victim(engine);
      return process != 0 && process != before;
    }));
    return process;
  }
  // How many stops there are from one checkpoint to the next but one.
  unsigned stops_of_two_rounds(pid_t process, bool& refused) const {
    constexpr unsigned kMost = 20'000;
    Followed followed{process};
    refused = followed.refused();
    unsigned stops = 0;
    std::vector<fs::path> last = files();
    for (unsigned rounds = 0; rounds < 2 && stops < kMost && followed.go_on(); ++stops) {
      std::vector<fs::path> now = files();
      rounds += now != last ? 1U : 0U;
      last = std::move(now);
    }
    return stops;
  }
  // Everything is lost behind it, and the newest whole checkpoint gone on with; or else the next of its kind is awaited.
  enum class Then { all_is_lost, next_is_awaited };
  void kill_at_every_call(const Victim& victim, Then then) {
    auto engine = started(0);
    bool refused = false;
    pid_t process = await_victim(*engine, victim, 0);
    const unsigned stops = stops_of_two_rounds(process, refused);
    if (refused) GTEST_SKIP() << "this process may not follow another: see kernel.yama.ptrace_scope";
    ASSERT_GT(stops, 10U);
    constexpr unsigned kMostKills = 150;
    const unsigned stride = stops / kMostKills + 1;
    unsigned kills = 0;
    // Sanitized, or on a machine that is slow, it dies at as many as there is time for.
    constexpr auto kLongest = 60s;
    const auto until = std::chrono::steady_clock::now() + kLongest;
    for (unsigned at = 0; at < stops && !HasFailure() && std::chrono::steady_clock::now() < until;
         at += stride) {
      SCOPED_TRACE("at stop " + std::to_string(at) + " of " + std::to_string(stops));
      if (then == Then::all_is_lost) {
        const std::uint64_t kept = engine->inlet<Item>("in").position();
        lose(*engine);
        engine = started(kept - kLostAtMost);
        process = 0;
      }
      process = await_victim(*engine, victim, process);
      ASSERT_TRUE(a_new_one());
      Followed followed{process};
      unsigned gone = 0;
      while (gone < at && followed.go_on())
        ++gone;
      followed.kill();
      ++kills;
      push_and_pull(*engine, kLostAtMost);
      if (then == Then::next_is_awaited) {
        EXPECT_TRUE(a_new_one());
      }
    }
    EXPECT_GT(kills, 10U);
    std::printf("%u kills at %u stops before and behind system calls\n", kills, stops);
  }

 private:
  static constexpr std::uint32_t kLostAtMost = 20;  // Pushed behind the checkpoint before a death.

  std::unique_ptr<Engine> started(std::uint64_t least) const {
    auto engine = std::make_unique<Engine>(counting(), settings());
    engine->start();
    EXPECT_GE(engine->inlet<Item>("in").position(), least);
    push_and_pull(*engine, 100);
    EXPECT_TRUE(a_new_one());
    return engine;
  }
};

TEST_F(RoundCalls, OfTheCheckpointerLeaveNobodyFrozenWhereverItDies) {
  kill_at_every_call([](Engine& engine) { return checkpointer_of(engine); }, Then::all_is_lost);
}

TEST_F(RoundCalls, OfTheMasterLeaveNobodyFrozenWhereverItDies) {
  kill_at_every_call([](Engine& engine) { return static_cast<pid_t>(engine.stats().master); },
                     Then::next_is_awaited);
}

}  // namespace
}  // namespace sluice::test
