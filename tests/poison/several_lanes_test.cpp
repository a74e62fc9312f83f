// SPDX-License-Identifier: Apache-2.0
// Events of one batch that kill, each from a lane of its own, and more of them than a worker's blames are remembered:
// each becomes a dead letter, and no other event does.

#include <algorithm>
#include <csignal>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <vector>

#include <sluice/dead_letter.hpp>

#include "death/death.hpp"
#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

using testing::AnyOf;
using testing::SizeIs;

constexpr std::uint32_t kLanes = detail::kBlamesKept + 3;
constexpr std::uint32_t kItems = 20;
constexpr std::uint32_t kDeadly = 10;

enum class Ends { by_crash, by_throw };

// With a flush the whole batch is undone by what is thrown, as it is by a crash.
class KilledByOne {
 public:
  KilledByOne(Worker& worker, Ends ends) : ends_{ends} {
    if (ends_ == Ends::by_throw) worker.before_commit([] {});
  }
  void operator()(const Item& item, Output<Item>& out) {
    out.push(item);
    if (item.number != kDeadly) return;
    if (ends_ == Ends::by_throw) throw std::runtime_error{"this event is not for me"};
    std::abort();
  }

 private:
  Ends ends_;
};

class SeveralLanes : public WithProcesses, public testing::WithParamInterface<Ends> {
 protected:
  ~SeveralLanes() override { clear_away(directory_); }

  std::filesystem::path directory_{std::filesystem::temp_directory_path() /
                                   ("sluice-several-lanes-" + std::to_string(::getpid()))};
};

std::string inlet_name(std::uint32_t lane) {
  return "in" + std::to_string(lane);
}

TEST_P(SeveralLanes, LoseOneEventEachThoughAllOfThemKillInOneBatch) {
  Settings settings = test_settings();
  settings.set("report.path", directory_.string());
  settings.set("batch.events", "2048");
  settings.set("restart.backoff_max", "2ms");
  Pipeline pipeline{"lanes"};
  auto all = pipeline.inlet<Item>(inlet_name(0));
  for (std::uint32_t lane = 1; lane < kLanes; ++lane)
    all = all.merge(pipeline.inlet<Item>(inlet_name(lane)));
  all.to<KilledByOne>("fragile", GetParam()).outlet("out");
  Engine engine{pipeline, settings};
  engine.start();
  Collector<Item> out{engine, "out"};
  // All lanes are filled before it looks at any.
  ASSERT_TRUE(engine.signal_worker("fragile/0", SIGSTOP));
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    auto in = engine.inlet<Item>(inlet_name(lane));
    for (std::uint32_t number = 0; number < kItems; ++number)
      ASSERT_EQ(in.push(Item{lane, number}), PushResult::accepted);
    in.close();
  }
  ASSERT_TRUE(engine.signal_worker("fragile/0", SIGCONT));
  ASSERT_TRUE(engine.wait_for(kDeadline));

  std::vector<Item> expected;
  for (std::uint32_t lane = 0; lane < kLanes; ++lane) {
    for (std::uint32_t number = 0; number < kItems; ++number) {
      if (number != kDeadly) expected.push_back(Item{lane, number});
    }
  }
  EXPECT_THAT(out.all(), testing::UnorderedElementsAreArray(expected));
  const std::vector<DeadLetter> letters = find_dead_letters(directory_);
  EXPECT_THAT(letters, SizeIs(kLanes));
  for (const DeadLetter& letter : letters) {
    EXPECT_EQ(letter.attempts, 3U);
    EXPECT_THAT(letter.cause, AnyOf("signal 6 (Aborted)", "its handler threw: this event is not for me",
                                    // Of which its worker has died before another event.
                                    "its handler threw: its report in deaths.jsonl has what it said"));
  }
  EXPECT_EQ(worker_of(engine, "fragile/0").restarts, 3 * kLanes);
}

INSTANTIATE_TEST_SUITE_P(Poison, SeveralLanes, testing::Values(Ends::by_crash, Ends::by_throw),
                         [](const auto& info) {
                           return std::string{info.param == Ends::by_crash ? "Crash" : "ThrowBeforeAFlush"};
                         });

}  // namespace
}  // namespace sluice::test
