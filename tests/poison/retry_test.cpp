// SPDX-License-Identifier: Apache-2.0
// Dead letters are handled once more, exactly once: by the worker they were for, before anything else.

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <set>

#include <sluice/dead_letter.hpp>

#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

// Dies of what it is told to die of.
struct Fragile {
  explicit Fragile(std::set<std::uint32_t> deadly) : deadly{std::move(deadly)} {}
  void operator()(const Item& item, Output<Item>& out) const {
    out.push(item);
    if (deadly.contains(item.number)) std::abort();
  }
  std::set<std::uint32_t> deadly;
};

struct FragileText {
  explicit FragileText(bool mortal) : mortal{mortal} {}
  void operator()(const Bytes& bytes, Output<Bytes>& out) const {
    out.push(bytes);
    if (mortal && bytes.text().starts_with("bad")) std::abort();
  }
  bool mortal;
};

class Retry : public WithProcesses {
 protected:
  Retry() { std::filesystem::create_directories(directory_); }
  ~Retry() override { clear_away(directory_); }

  Settings settings(const std::string& reports, const std::string& retry = {}) const {
    Settings settings = test_settings();
    settings.set("report.path", (directory_ / reports).string());
    if (!retry.empty()) settings.set("poison.retry", (directory_ / retry).string());
    return settings;
  }
  static Pipeline fragile(std::set<std::uint32_t> deadly, unsigned workers = 1) {
    Pipeline pipeline{"fragile"};
    pipeline.inlet<Item>("in")
        .by(&Item::key)
        .to<Fragile>("fragile", {.workers = workers}, std::move(deadly))
        .outlet("out");
    return pipeline;
  }

  std::filesystem::path directory_{std::filesystem::temp_directory_path() /
                                   ("sluice-retry-" + std::to_string(::getpid()))};
};

TEST_F(Retry, HandlesTheLettersBeforeAnythingElseAndOnce) {
  run_processes<Item>(fragile({3, 7}), items(10, 1), settings("first"));
  const std::vector<Item> out =
      run_processes<Item>(fragile({}), std::vector<Item>{{0, 100}, {0, 101}}, settings("second", "first"));
  EXPECT_THAT(out, ElementsAre(Item{0, 3}, Item{0, 7}, Item{0, 100}, Item{0, 101}));
  EXPECT_FALSE(std::filesystem::exists(directory_ / "second"));
}

TEST_F(Retry, HandlesALetterThatWasCopiedOnce) {
  run_processes<Item>(fragile({3, 7}), items(10, 1), settings("first"));
  const std::filesystem::path letters = find_dead_letters(directory_ / "first").at(0).file;
  std::filesystem::copy_file(letters, directory_ / "first" / "again.dead");
  const std::vector<Item> none;
  EXPECT_THAT(run_processes<Item>(fragile({}), none, settings("second", "first")),
              ElementsAre(Item{0, 3}, Item{0, 7}));
  EXPECT_THAT(run_processes<Item>(fragile({}), none, settings("second", "first")), SizeIs(0));
}

TEST_F(Retry, GetsEachLetterToTheWorkerItWasFor) {
  run_processes<Item>(fragile({3, 4, 5, 6}, 2), items(20, 8), settings("first"));
  std::vector<Item> out =
      run_processes<Item>(fragile({}, 2), std::vector<Item>{}, settings("second", "first"));
  std::sort(out.begin(), out.end());
  EXPECT_THAT(out, ElementsAre(Item{3, 3}, Item{4, 4}, Item{5, 5}, Item{6, 6}));
}

TEST_F(Retry, OfRecordsHandsThemOnWhole) {
  const auto pipeline = [](bool mortal) {
    Pipeline made{"texts"};
    made.inlet<Bytes>("in").to<FragileText>("text", mortal).outlet("out");
    return made;
  };
  const std::string large = "bad" + std::string(100'000, 'x');
  const std::vector<std::string> texts{"bad", "good", large, "bad text of odd length"};
  const std::vector<Bytes> events{texts.begin(), texts.end()};
  EXPECT_THAT(run_processes<Bytes>(pipeline(true), events, settings("first")), ElementsAre("good"));
  EXPECT_THAT(run_processes<Bytes>(pipeline(false), std::vector<Bytes>{}, settings("second", "first")),
              ElementsAre("bad", large, "bad text of odd length"));
}

TEST_F(Retry, ThatKillsAgainMakesADeadLetterAgain) {
  run_processes<Item>(fragile({3, 7, 8}), items(10, 1), settings("first"));
  const std::vector<Item> out =
      run_processes<Item>(fragile({7}), std::vector<Item>{{0, 100}}, settings("second", "first"));
  EXPECT_THAT(out, ElementsAre(Item{0, 3}, Item{0, 8}, Item{0, 100}));
  const std::vector<DeadLetter> letters = find_dead_letters(directory_ / "second");
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters.front().attempts, 6U) << "of both runs";
  EXPECT_EQ(letters.front().from, "host") << "where it came from at first";
  Item item;
  ASSERT_EQ(letters.front().payload.size(), sizeof(item));
  std::memcpy(&item, letters.front().payload.data(), sizeof(item));
  EXPECT_EQ(item, (Item{0, 7}));
}

// Letters of an hour to come: the clock was set back since they were written.
TEST_F(Retry, HandlesLettersThatTheClockWasSetBackBehindAndLeavesThoseOfItsOwnStart) {
  run_processes<Item>(fragile({3, 7}), items(10, 1), settings("both"));
  std::vector<DeadLetter> letters = find_dead_letters(directory_ / "both");
  ASSERT_THAT(letters, SizeIs(2));
  const std::filesystem::path file = letters.front().file;
  {
    std::ofstream rewritten{file, std::ios::binary | std::ios::trunc};
    for (DeadLetter& letter : letters) {
      letter.time += std::chrono::hours{1};
      letter.order_ns += std::chrono::nanoseconds{std::chrono::hours{1}}.count();
      rewritten << encode(letter);
    }
  }
  // Where it writes letters, too: that of its second try is for the next start, whatever replaces its worker.
  Engine engine{fragile({7}), settings("both", "both")};
  engine.start();
  Collector<Item> out{engine, "out"};
  ASSERT_TRUE(eventually([&] { return engine.stats().dead_letters() == 1; }));
  const std::uint32_t incarnation = worker_of(engine, "fragile/0").incarnation;
  ASSERT_TRUE(engine.signal_worker("fragile/0", SIGKILL));
  ASSERT_TRUE(eventually([&] { return worker_of(engine, "fragile/0").incarnation != incarnation; }));
  engine.inlet<Item>("in").close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), ElementsAre(Item{0, 3}));
  EXPECT_THAT(run_processes<Item>(fragile({}), std::vector<Item>{}, settings("both", "both")),
              ElementsAre(Item{0, 7}));
  letters = find_dead_letters(directory_ / "both");
  EXPECT_THAT(letters, SizeIs(3));
  EXPECT_TRUE(std::is_sorted(letters.begin(), letters.end(), comes_before));
}

TEST_F(Retry, TakesEffectOnceThoughItsWorkerIsKilled) {
  std::set<std::uint32_t> deadly;
  for (std::uint32_t number = 0; number < 60; ++number)
    deadly.insert(number);
  run_processes<Item>(fragile(deadly), items(60, 1), settings("first"));
  Settings again = settings("second", "first");
  again.set("restart.budget", "1000000");
  Engine engine{fragile({5, 50}), again};
  engine.start();
  Collector<Item> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  for (int i = 0; i < 100; ++i) {
    engine.signal_worker("fragile/0", SIGKILL);
    std::this_thread::sleep_for(500us);
  }
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  const std::vector<Item> all = out.all();
  ASSERT_THAT(all, SizeIs(58));
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end()));
  EXPECT_THAT(find_dead_letters(directory_ / "second"), SizeIs(2));
}

TEST_F(Retry, RefusesLettersThatHaveNoPlace) {
  run_processes<Item>(fragile({3}), items(5, 1), settings("first"));
  EXPECT_THAT(error_of([&] { Engine(fragile({}, 2), settings("second", "first")); }),
              AllOf(HasSubstr("fragile/0"), HasSubstr("had 1 worker and has 2 now")));
  Pipeline other{"other"};
  other.inlet<Item>("in").to<Echo>("echo").outlet("out");
  EXPECT_THAT(error_of([&] { Engine(other, settings("second", "first")); }), HasSubstr("no such stage"));
  Pipeline texts{"texts"};
  texts.inlet<Bytes>("in").to<EchoBytes>("fragile").outlet("out");
  EXPECT_THAT(error_of([&] { Engine(texts, settings("second", "first")); }),
              HasSubstr("and the stage takes"));
  EXPECT_THAT(error_of([&] { Engine(fragile({}), settings("second", "nowhere")); }), HasSubstr("nowhere"));
}

}  // namespace
}  // namespace sluice::test
