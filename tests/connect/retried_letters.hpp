// SPDX-License-Identifier: Apache-2.0
// Dead letters that are retried into a sink while its workers die, at any instant and between its flush and their commit: what a
// test of each sink runs, and compares the other side with.
#pragma once

#include <algorithm>
#include <csignal>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include <sluice/connect/sql.hpp>
#include <sluice/connect/transaction_sink.hpp>
#include <sluice/refused.hpp>

#include "kill_count.hpp"
#include "outside_world.hpp"

namespace sluice::test {

// A handler of items by `Sends`, which hands a sink each of them. While it is picky it refuses every third one. Else one of several
// batches may be the last of its worker, in so many of its first lives.
template <class Sends>
class Picky : public Sends {
 public:
  template <class... Args>
  Picky(Worker& worker, bool is_picky, unsigned deaths, Args... args)
      : Sends{worker, args...}, is_picky_{is_picky} {
    worker.before_commit([&worker, deaths, dice = std::mt19937{std::random_device{}()}]() mutable {
      if (worker.incarnation() <= deaths && dice() % 3 == 0) ::raise(SIGKILL);
    });
  }
  void operator()(const Item& item) {
    if (is_picky_ && item.number % 3 == 0) throw Refused{"it is picky"};
    Sends::operator()(item);
  }

 private:
  bool is_picky_;
};

// What the handlers of a pipeline are told.
struct LettersAsked {
  bool is_picky = false;
  unsigned deaths = 0;
};

// Items by their key to two workers, whose handlers are `Sends` made with `args`.
template <class Sends, class... Args>
Pipeline letters_into(const LettersAsked& asked, const Args&... args) {
  Pipeline pipeline{"letters"};
  pipeline.inlet<Item>("in")
      .by(&Item::key)
      .to<Picky<Sends>>("out", {.workers = 2}, asked.is_picky, asked.deaths, args...);
  return pipeline;
}

// What a handler makes of an item.
inline std::string letter_of(const Item& item) {
  return std::to_string(1'000 + item.number);
}

// Of a database by SQL.
template <class Store>
class StoresLetter {
 public:
  template <class Options>
  StoresLetter(Worker& worker, const Options& database, const std::string& insert)
      : sink_{worker, database}, insert_{sink_.prepare(insert)} {}
  void operator()(const Item& item) { sink_.add(insert_, letter_of(item)); }

 private:
  TransactionSink<Store> sink_;
  Statement insert_;
};

// With true the second start goes on from the segment of the first, and is of its run.
template <class Outside>
class WithLetters : public Outside, public testing::WithParamInterface<bool> {
 protected:
  // Makes letters, and retries them.
  template <class Sends, class... Args>
  void retry(const Args&... args) {
    retry_by([&](const LettersAsked& asked) { return letters_into<Sends>(asked, args...); });
  }
  // The same with the pipelines that `pipeline` makes.
  template <class MakePipeline>
  void retry_by(const MakePipeline& pipeline) {
    const std::string here = this->file("letters");
    std::vector<std::string> assignments{"batch.events=4", "restart.budget=1000000", "report.path=" + here};
    if (GetParam()) assignments.push_back("segment.path=" + here + ".segment");
    {
      Engine engine{pipeline(LettersAsked{.is_picky = true}), this->settings(assignments)};
      engine.start();
      push(engine, 0, kItems);
      ASSERT_TRUE(eventually([&] { return handled(engine) == kItems; }));
      EXPECT_EQ(engine.stats().dead_letters(), kLetters);
      if (GetParam()) {
        engine.park();
      } else {
        engine.inlet<Item>("in").close();
      }
      ASSERT_TRUE(engine.wait_for(kDeadline));
    }
    assignments.push_back("poison.retry=" + here);
    Engine engine{pipeline(LettersAsked{.deaths = kills_asked(6, kTwentieth)}), this->settings(assignments)};
    engine.start();
    kill_until_all_is_retried(engine, here);
    push(engine, kItems, 2 * kItems);
    engine.inlet<Item>("in").close();
    ASSERT_TRUE(engine.wait_for(kDeadline));
    EXPECT_EQ(retried(here), kLetters);
  }
  // All that must be on the other side, in order.
  static std::vector<std::string> all() {
    std::vector<std::string> all;
    for (std::uint32_t number = 0; number < 2 * kItems; ++number)
      all.push_back(letter_of(Item{.number = number}));
    return all;
  }

 private:
  static constexpr std::uint32_t kItems = 90;
  static constexpr std::uint32_t kLetters = kItems / 3;

  static void push(Engine& engine, std::uint32_t from, std::uint32_t to) {
    auto in = engine.inlet<Item>("in");
    for (std::uint32_t number = from; number < to; ++number)
      ASSERT_EQ(in.push(Item{.key = number % 7, .number = number}), PushResult::accepted);
  }
  // Letters are, too.
  static std::uint64_t handled(const Engine& engine) {
    return worker_of(engine, "out/0").events_in + worker_of(engine, "out/1").events_in;
  }
  static std::size_t retried(const std::string& here) {
    const std::vector<DeadLetter> letters = find_dead_letters(here);
    EXPECT_EQ(letters.size(), kLetters);
    return static_cast<std::size_t>(std::count_if(
        letters.begin(), letters.end(), [](const DeadLetter& letter) { return letter.retried_by != 0; }));
  }
  static void kill_until_all_is_retried(Engine& engine, const std::string& here) {
    const auto seed = std::random_device{}();
    SCOPED_TRACE(seed);
    std::mt19937 dice{seed};
    while (retried(here) < kLetters) {
      const std::string worker = "out/" + std::to_string(dice() % 2);
      const std::uint64_t before = worker_of(engine, worker).events_in;
      // One that has begun, mostly.
      if (dice() % 8 != 0)
        eventually([&] { return worker_of(engine, worker).events_in != before; },
                   std::chrono::milliseconds{200});
      engine.signal_worker(worker, SIGKILL);
    }
  }
};

}  // namespace sluice::test
