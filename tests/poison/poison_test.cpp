// SPDX-License-Identifier: Apache-2.0
// Events that kill the worker that handles them, really: after three times exactly that event is a dead
// letter, and everything else takes effect exactly once, in order.

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <new>
#include <random>
#include <set>
#include <sys/resource.h>

#include <sluice/dead_letter.hpp>

#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"
#include "ways_to_die.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::SizeIs;

// Dies of certain items, after it has done its work on them.
class Mortal {
 public:
  Mortal(Worker& worker, Way way, std::set<std::uint32_t> deadly)
      : seen_{worker.state<std::uint32_t>("seen")}, way_{way}, deadly_{std::move(deadly)} {}
  void operator()(const Item& item, Output<Counted>& out) {
    out.push({item, 0, seen_.edit()++});
    if (deadly_.contains(item.number)) die(way_);
  }

 private:
  Recoverable<std::uint32_t> seen_;
  Way way_;
  std::set<std::uint32_t> deadly_;
};

class WithReports : public WithProcesses {
 protected:
  WithReports() { settings_.set("report.path", directory_.string()); }
  ~WithReports() override { clear_away(directory_); }

  std::filesystem::path directory_{std::filesystem::temp_directory_path() /
                                   ("sluice-poison-" + std::to_string(::getpid()))};
  Settings settings_ = test_settings();
};

class Poison : public WithReports, public testing::WithParamInterface<Deadly> {};

TEST_P(Poison, BecomesADeadLetterAfterThreeDeathsAndTheRestGoesOnExactlyOnce) {
  const Deadly& deadly = GetParam();
  if (deadly.cause == std::string{"watchdog ended it"}) settings_.set("watchdog.deadline", "200ms");
  const std::set<std::uint32_t> numbers{0, 37, 38, 200, 299};
  Pipeline pipeline{"mortal"};
  pipeline.inlet<Item>("in").to<Mortal>("mortal", deadly.way, numbers).outlet("out");
  Engine engine{pipeline, settings_};
  engine.start();
  Collector<Counted> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  const std::vector<Item> sent = items(300, 1);
  for (const Item& item : sent)
    std::ignore = in.push(item);
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));

  std::vector<Counted> expected;
  for (const Item& item : sent) {
    if (!numbers.contains(item.number))
      expected.push_back({item, 0, static_cast<std::uint32_t>(expected.size())});
  }
  EXPECT_THAT(out.all(), ElementsAreArray(expected));
  const WorkerStats worker = worker_of(engine, "mortal/0");
  EXPECT_EQ(worker.restarts, 3 * numbers.size());
  EXPECT_EQ(worker.dead_letters, numbers.size());
  EXPECT_EQ(worker.events_in, sent.size());
  EXPECT_EQ(engine.stats().reports, directory_.string());

  const std::vector<DeadLetter> letters = find_dead_letters(directory_);
  ASSERT_THAT(letters, SizeIs(numbers.size()));
  auto number = numbers.begin();
  for (const DeadLetter& letter : letters) {
    EXPECT_EQ(letter.stage, "mortal");
    EXPECT_EQ(letter.from, "host");
    EXPECT_EQ(letter.attempts, 3U);
    EXPECT_EQ(letter.signal, deadly.signal);
    EXPECT_THAT(letter.cause, HasSubstr(deadly.cause));
    EXPECT_EQ(letter.position, *number * sizeof(Item));
    EXPECT_FALSE(letter.record);
    EXPECT_THAT(letter.type, HasSubstr("Item"));
    ASSERT_EQ(letter.payload.size(), sizeof(Item));
    Item item;
    std::memcpy(&item, letter.payload.data(), sizeof(item));
    EXPECT_EQ(item, (Item{0, *number++}));
  }
}

INSTANTIATE_TEST_SUITE_P(EveryWayToDie, Poison, testing::ValuesIn(kWays),
                         [](const auto& info) { return std::string{info.param.name}; });

class DeadLetterMove : public WithReports {};

TEST_F(DeadLetterMove, NamesTheFunctionThatCrashed) {
  Pipeline pipeline{"mortal"};
  pipeline.inlet<Item>("in").to<Mortal>("mortal", Way::bad_access, std::set<std::uint32_t>{1}).outlet("out");
  EXPECT_THAT(run_processes<Counted>(pipeline, items(3, 1), settings_), SizeIs(2));
  const std::vector<DeadLetter> letters = find_dead_letters(directory_);
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_THAT(named_backtrace(letters.front()), HasSubstr("die"));
}

// Records of many lengths, over two lanes, through lanes that are always full.
struct Choosy {
  void operator()(const Bytes& bytes, Output<Bytes>& out) const {
    out.push(bytes);
    if (bytes.text().starts_with("bad")) die(Way::bad_access);
  }
};

struct Fan {
  void operator()(const Item& item, Output<Bytes>& out) const {
    out.push((item.number % 100 == 50 ? "bad " : "good ") + std::to_string(item.number) +
             std::string(item.number % 40, 'x'));
  }
};

TEST_F(DeadLetterMove, HoldsRecordsWholeFromTheMidstOfFullLanes) {
  settings_.set("lane.bytes", "4KiB");
  Pipeline pipeline{"choosy"};
  pipeline.inlet<Item>("in").to<Fan>("fan", {.workers = 2}).to<Choosy>("choosy").outlet("out");
  const std::vector<std::string> out = run_processes<Bytes>(pipeline, items(2000, 8), settings_);
  EXPECT_THAT(out, SizeIs(1980));
  std::set<std::string> seen{out.begin(), out.end()};
  EXPECT_THAT(seen, SizeIs(1980));
  const std::vector<DeadLetter> letters = find_dead_letters(directory_);
  EXPECT_THAT(letters, SizeIs(20));
  for (const DeadLetter& letter : letters) {
    EXPECT_TRUE(letter.record);
    seen.insert(letter.payload);
    EXPECT_TRUE(letter.payload.starts_with("bad ")) << letter.payload;
  }
  EXPECT_THAT(seen, SizeIs(2000));
}

TEST_F(DeadLetterMove, HappensOnceThoughTheWorkerIsKilledAllTheTime) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  settings_.set("restart.budget", "1000000");
  std::set<std::uint32_t> numbers;
  for (std::uint32_t number = 500; number < 6'000; number += 500)
    numbers.insert(number);
  Pipeline pipeline{"mortal"};
  pipeline.inlet<Item>("in").to<Mortal>("mortal", Way::bad_access, numbers).outlet("out");
  Engine engine{pipeline, settings_};
  engine.start();
  Collector<Counted> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  std::mt19937_64 random{seed};
  std::uint64_t kills = 0;
  const std::vector<Item> sent = items(6'000, 1);
  for (const Item& item : sent) {
    std::ignore = in.push(item);
    if (random() % 40 == 0) {
      std::this_thread::sleep_for(std::chrono::microseconds{random() % 2000});
      if (engine.signal_worker("mortal/0", SIGKILL)) ++kills;
    }
  }
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), SizeIs(sent.size() - numbers.size()));
  const std::vector<DeadLetter> letters = find_dead_letters(directory_);
  ASSERT_THAT(letters, SizeIs(numbers.size()));
  auto number = numbers.begin();
  for (const DeadLetter& letter : letters) {
    Item item;
    std::memcpy(&item, letter.payload.data(), sizeof(item));
    EXPECT_EQ(item.number, *number++);
    EXPECT_EQ(letter.attempts, 3U) << "item " << item.number;
  }
  EXPECT_GT(kills, 10U);
}

TEST_F(DeadLetterMove, IsNotCausedByAThousandKillsFromOutside) {
  settings_.set("restart.budget", "1000000");
  settings_.set("poison.attempts", "1");
  Pipeline pipeline{"innocent"};
  pipeline.inlet<Item>("in").to<Count>("count").outlet("out");
  Engine engine{pipeline, settings_};
  engine.start();
  Collector<Counted> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  std::uint32_t pushed = 0;
  constexpr std::uint64_t kDeaths = 1000;
  std::uint64_t kills = 0;
  const auto until = std::chrono::steady_clock::now() + kDeadline;
  while (worker_of(engine, "count/0").restarts < kDeaths && std::chrono::steady_clock::now() < until) {
    for (int i = 0; i < 100; ++i)
      std::ignore = in.push(Item{pushed % 7, pushed}), ++pushed;
    // The crash signals too, when others send them.
    constexpr std::array kSignals{SIGSEGV, SIGABRT, SIGFPE, SIGILL, SIGBUS, SIGSYS, SIGTRAP, SIGKILL};
    if (engine.signal_worker("count/0", kSignals[kills % kSignals.size()])) ++kills;
    std::this_thread::sleep_for(100us);
  }
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), SizeIs(pushed));
  const WorkerStats worker = worker_of(engine, "count/0");
  EXPECT_EQ(worker.dead_letters, 0U);
  EXPECT_GE(worker.restarts, kDeaths);
  EXPECT_THAT(find_dead_letters(directory_), SizeIs(0)) << "only reports of the deaths are there";
}

TEST_F(DeadLetterMove, IsForEventsOnly) {
  // A constructor that crashes is to blame on no event, nor is a source or a last word.
  struct Stillborn {
    explicit Stillborn(Worker& worker) {
      if (worker.incarnation() > 1) die(Way::bad_access);
    }
    void operator()(const Item& item) const {
      if (item.number == 3) ::raise(SIGKILL);
    }
  };
  settings_.set("restart.budget", "5");
  settings_.set("poison.attempts", "1");
  Pipeline pipeline{"stillborn"};
  pipeline.inlet<Item>("in").to<Stillborn>("stillborn");
  Engine engine{pipeline, settings_};
  engine.start();
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(5, 1))
    std::ignore = in.push(item);
  EXPECT_THAT(
      error_of([&] { engine.wait_for(kDeadline); }),
      AllOf(HasSubstr("stillborn/0 does not become ready any more: 6 starts"), HasSubstr("signal 11")))
      << "the kill before them does not count";
  EXPECT_EQ(worker_of(engine, "stillborn/0").dead_letters, 0U);
}

struct Speechless {
  void operator()(const Item&) const {}
  void finish() const { die(Way::abort); }
};

TEST_F(DeadLetterMove, IsNotForTheLastWord) {
  settings_.set("restart.budget", "4");
  Pipeline pipeline{"speechless"};
  pipeline.inlet<Item>("in").to<Speechless>("speechless");
  Engine engine{pipeline, settings_};
  engine.start();
  engine.inlet<Item>("in").close();
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }),
              AllOf(HasSubstr("speechless/0 died 5 times"), HasSubstr("signal 6")));
}

TEST_F(DeadLetterMove, HasABudgetForHandlersThatCanHandleNothing) {
  settings_.set("poison.budget", "5");
  settings_.set("poison.attempts", "1");
  Pipeline pipeline{"mortal"};
  std::set<std::uint32_t> all;
  for (std::uint32_t number = 0; number < 100; ++number)
    all.insert(number);
  pipeline.inlet<Item>("in").to<Mortal>("mortal", Way::exception, all).outlet("out");
  Engine engine{pipeline, settings_};
  engine.start();
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(100, 1))
    std::ignore = in.push(item);
  EXPECT_THAT(
      error_of([&] { engine.wait_for(kDeadline); }),
      AllOf(HasSubstr("mortal/0 has moved 5 events to the dead letters"), HasSubstr("poison.budget")));
  EXPECT_THAT(find_dead_letters(directory_), SizeIs(5));
}

TEST_F(DeadLetterMove, SaysAtTheStartWhereItCannotWrite) {
  settings_.set("report.path", "/dev/null/reports");
  Pipeline pipeline{"mortal"};
  pipeline.inlet<Item>("in").to<Mortal>("mortal", Way::abort, std::set<std::uint32_t>{1}).outlet("out");
  Engine engine{pipeline, settings_};
  EXPECT_THAT(error_of([&] { engine.start(); }),
              AllOf(HasSubstr("/dev/null/reports"), HasSubstr("set report.path")));
}

}  // namespace
}  // namespace sluice::test
