// SPDX-License-Identifier: Apache-2.0
// The checkpointer, which asks for the standstill of a round, copies, and publishes, dies at every system call of it, and then
// everything is lost: the newest whole checkpoint is gone on with. takeover.DyingMaster has the master's part.
#include <chrono>
#include <cstdio>
#include <memory>

#include "support/traced.hpp"
#include "with_checkpoints.hpp"

namespace sluice::test {
namespace {

class RoundCalls : public WithCheckpoints {
 protected:
  static bool to_next_call(Traced& traced) {
    traced.to_next_call();
    return traced.arrived();
  }
  // How many stops there are from one checkpoint to the next but one.
  unsigned stops_of_two_rounds(pid_t process, bool& refused) const {
    constexpr unsigned kMost = 20'000;
    Traced traced{process};
    refused = traced.refused();
    unsigned stops = 0;
    std::vector<fs::path> last = files();
    for (unsigned rounds = 0; rounds < 2 && stops < kMost && to_next_call(traced); ++stops) {
      std::vector<fs::path> now = files();
      rounds += now != last ? 1U : 0U;
      last = std::move(now);
    }
    return stops;
  }
  static pid_t await_checkpointer(const Engine& engine) {
    pid_t process = 0;
    EXPECT_TRUE(eventually([&] { return (process = checkpointer_of(engine)) > 1; }));
    return process;
  }
  std::unique_ptr<Engine> started(std::uint64_t least) const {
    auto engine = std::make_unique<Engine>(counting(), settings());
    engine->start();
    EXPECT_GE(engine->inlet<Item>("in").position(), least);
    push_and_pull(*engine, 100);
    EXPECT_TRUE(a_new_one());
    return engine;
  }

  static constexpr std::uint32_t kLostAtMost = 20;  // Pushed behind the checkpoint before a death.
};

TEST_F(RoundCalls, OfTheCheckpointerLeaveTheNewestWholeOneWhereverItDies) {
  auto engine = started(0);
  bool refused = false;
  const unsigned stops = stops_of_two_rounds(await_checkpointer(*engine), refused);
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
    const std::uint64_t kept = engine->inlet<Item>("in").position();
    lose(*engine);
    engine = started(kept - kLostAtMost);
    Traced traced{await_checkpointer(*engine)};
    unsigned gone = 0;
    while (gone < at && to_next_call(traced))
      ++gone;
    traced.kill();
    ++kills;
    push_and_pull(*engine, kLostAtMost);
  }
  EXPECT_GT(kills, 10U);
  std::printf("%u kills at %u stops before and behind system calls\n", kills, stops);
}

}  // namespace
}  // namespace sluice::test
