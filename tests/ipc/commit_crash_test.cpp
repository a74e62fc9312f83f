// SPDX-License-Identifier: Apache-2.0
// The promise that everything else rests on: whatever instruction a worker dies at, its replacement finds
// either the whole batch or nothing of it, and goes on to the same end.
//
// The first tests run a worker one instruction at a time and look, after each store that another process
// could see, at what a replacement would make of a copy. The last one kills for real.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <ctime>
#include <unordered_set>

#include <gtest/gtest.h>

#include <sluice/detail/sanitizers.hpp>

#include "child.hpp"
#include "lane_fixture.hpp"
#include "scripted_worker.hpp"
#include "stepped_child.hpp"

namespace sluice::ipc::test {
namespace {

using Bytes = std::vector<std::byte>;

std::string key_of(const Bytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Every distinct state of the worker's region that a death during `work` can leave behind, in order.
struct Deaths {
  std::uint64_t instructions = 0;
  std::vector<Bytes> states;
};

template <class Work>
Deaths deaths_during(const ScriptedSegment& live, Work&& work) {
  Deaths deaths;
  deaths.states.push_back(live.worker_bytes());
  const Steps steps = step_through(work, [&] {
    if (!live.worker_bytes_are(deaths.states.back())) deaths.states.push_back(live.worker_bytes());
  });
  EXPECT_EQ(steps.ending, "whole");
  deaths.instructions = steps.instructions;
  return deaths;
}

class CommitCrash : public ::testing::Test {
 protected:
  void SetUp() override {
    if (SLUICE_THREAD_SANITIZER) GTEST_SKIP() << "stepping would step through ThreadSanitizer's own runtime";
    if (kernel_has_no_ptrace()) GTEST_SKIP() << "no ptrace on this kernel, as under qemu-user";
  }

  Deaths deaths_of_a_run() const {
    const ScriptedSegment live{kSizes};
    return deaths_during(live, [&live] {
      ScriptedWorker worker{live};
      worker.recover();
      worker.run();
    });
  }

  // What the replacement of a worker that left `bytes` finds; checks that it is exactly a number of commits.
  std::uint64_t commits_recovered(const Bytes& bytes) {
    copy_.set_worker_bytes(bytes);
    ScriptedWorker replacement{copy_};
    EXPECT_TRUE(replacement.recover());
    const std::uint64_t commits = replacement.committed();
    if (commits >= points_.size()) {
      ADD_FAILURE() << "commits " << commits;
      return 0;
    }
    ScriptedResult result;
    EXPECT_EQ(replacement.audit(result), "");
    EXPECT_EQ(result.events, points_[commits]);
    return commits;
  }

  // The replacement's run from there to the end.
  void expect_the_same_end() {
    ScriptedWorker replacement{copy_};
    replacement.run();
    ScriptedResult result;
    EXPECT_EQ(replacement.audit(result), "");
    EXPECT_EQ(result.events, copy_.events());
  }

  static constexpr ScriptedSizes kSizes{};
  ScriptedSegment copy_{kSizes};
  const std::vector<std::uint64_t> points_ = ScriptedWorker::events_after_commits(copy_.events());
};

TEST(ScriptedRun, DoesWhatTheReferenceSaysWhenNothingDies) {
  const ScriptedSegment segment{{}};
  ScriptedWorker worker{segment};
  ASSERT_TRUE(worker.recover());
  worker.run();
  ScriptedResult result;
  EXPECT_EQ(worker.audit(result), "");
  EXPECT_EQ(result.events, segment.events());
  EXPECT_EQ(worker.committed() + 1, ScriptedWorker::events_after_commits(segment.events()).size());
}

TEST_F(CommitCrash, AtAnyInstructionLeavesTheWholeBatchOrNothingOfIt) {
  const Deaths deaths = deaths_of_a_run();
  std::uint64_t commits = 0;
  std::uint64_t in_the_midst = 0;
  for (std::size_t i = 0; i < deaths.states.size(); ++i) {
    SCOPED_TRACE("distinct state " + std::to_string(i));
    const std::uint64_t found = commits_recovered(deaths.states[i]);
    ASSERT_TRUE(found == commits || found == commits + 1) << found << " after " << commits;
    commits = found;
    if (!copy_.worker_bytes_are(deaths.states[i])) ++in_the_midst;
    expect_the_same_end();
    ASSERT_FALSE(HasFailure());
  }
  std::printf(
      "%llu instructions, %zu distinct states, %llu of them with something to recover, %llu commits\n",
      static_cast<unsigned long long>(deaths.instructions), deaths.states.size(),
      static_cast<unsigned long long>(in_the_midst), static_cast<unsigned long long>(commits));
  EXPECT_GT(deaths.instructions, 1000U);
  EXPECT_GT(deaths.states.size(), 100U);
  EXPECT_GT(in_the_midst, 0U);
  EXPECT_EQ(commits + 1, points_.size()) << "every commit was seen to happen";
}

TEST_F(CommitCrash, DuringRecoveryIsNothingSpecial) {
  const Deaths deaths = deaths_of_a_run();
  ScriptedSegment live{kSizes};
  std::unordered_set<std::string> seen;
  std::uint64_t instructions = 0;
  std::uint64_t recoveries = 0;
  for (std::size_t i = 0; i < deaths.states.size(); ++i) {
    SCOPED_TRACE("distinct state " + std::to_string(i));
    const std::uint64_t commits = commits_recovered(deaths.states[i]);
    if (copy_.worker_bytes_are(deaths.states[i])) continue;  // Its recovery stores nothing.
    live.set_worker_bytes(deaths.states[i]);
    // Those within a commit are few, and all of them are taken; those that only undo are many and alike.
    if (!ScriptedWorker{live}.is_committing() && i % 16 != 0) continue;
    const Deaths again = deaths_during(live, [&live] { ScriptedWorker{live}.recover(); });
    instructions += again.instructions;
    ++recoveries;
    for (const Bytes& state : again.states) {
      if (!seen.insert(key_of(state)).second) continue;
      ASSERT_EQ(commits_recovered(state), commits);
      expect_the_same_end();
      ASSERT_FALSE(HasFailure());
    }
  }
  std::printf("%llu recoveries, %llu instructions, %zu distinct states\n",
              static_cast<unsigned long long>(recoveries), static_cast<unsigned long long>(instructions),
              seen.size());
  EXPECT_GT(recoveries, 0U);
  EXPECT_GT(instructions, 1000U);
  EXPECT_GT(seen.size(), 100U);
}

// Has the kernel kill this process, by an interrupt at whatever instruction it is then.
void die_after(std::chrono::nanoseconds life) {
  sigevent kill{};
  kill.sigev_notify = SIGEV_SIGNAL;
  kill.sigev_signo = SIGKILL;
  timer_t timer{};
  itimerspec once{};
  once.it_value.tv_nsec = life.count() + 1;
  if (::timer_create(CLOCK_MONOTONIC, &kill, &timer) != 0 || ::timer_settime(timer, 0, &once, nullptr) != 0) {
    ::_exit(98);
  }
}

TEST(CommitKill, ManyTimesLosesNothingAndRepeatsNothing) {
  const Seed seed;
  std::mt19937_64 random = seed.engine();
  const ScriptedSegment segment{{.events = 120'000, .input_bytes = 1 << 20, .output_bytes = 8 << 20}};
  const auto until = std::chrono::steady_clock::now() + kDeadline;
  ScriptedResult result;
  ScriptedWorker auditor{segment};  // Between two workers it is the third.
  std::uint64_t kills = 0;
  std::uint64_t kills_at_work = 0;
  std::uint64_t longest_life_ns = 200'000;
  while (result.events < segment.events()) {
    ASSERT_LT(std::chrono::steady_clock::now(), until);
    const std::chrono::nanoseconds life{below(random, longest_life_ns)};
    Child worker{[&segment, life, last = kills >= 300] {
      ScriptedWorker replacement{segment};
      if (!last) die_after(life);  // The last one goes to the end, on a machine however slow.
      if (!replacement.recover()) return 1;
      replacement.run();
      return 0;
    }};
    const Ending ending = worker.ending();
    ASSERT_TRUE(ending == "signal 9" || ending == "exit 0") << ending;
    kills += ending == "signal 9" ? 1 : 0;
    const std::uint64_t before = result.events;
    ASSERT_TRUE(auditor.recover());
    ASSERT_EQ(auditor.audit(result), "") << "after kill " << kills;
    kills_at_work += result.events != before ? 1 : 0;
    // A slow machine needs longer to begin at all.
    longest_life_ns =
        result.events != before ? 200'000 : std::min<std::uint64_t>(2 * longest_life_ns, 500'000'000);
  }
  std::printf("%llu kills, %llu of them at work, %llu commits\n", static_cast<unsigned long long>(kills),
              static_cast<unsigned long long>(kills_at_work),
              static_cast<unsigned long long>(auditor.committed()));
  EXPECT_GT(kills_at_work, 0U);
}

}  // namespace
}  // namespace sluice::ipc::test
