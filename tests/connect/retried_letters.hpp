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

class WithLetters {
 public:
  static constexpr std::uint32_t kItems = 90;
  static constexpr std::uint32_t kLetters = kItems / 3;

  // What the handlers of a pipeline are told.
  struct Asked {
    bool is_picky = false;
    unsigned deaths = 0;
  };

  // Makes letters, and retries them. `settings` gives those of the test with these assignments; `here` is a directory for it. Kept,
  // the second start goes on from the segment of the first, and is of its run.
  template <class MakePipeline, class MakeSettings>
  static void retry(const MakePipeline& pipeline, const MakeSettings& settings, const std::string& here,
                    bool kept) {
    std::vector<std::string> assignments{"batch.events=4", "restart.budget=1000000", "report.path=" + here};
    if (kept) assignments.push_back("segment.path=" + here + ".segment");
    {
      Engine engine{pipeline(Asked{.is_picky = true}), settings(assignments)};
      engine.start();
      push(engine, 0, kItems);
      ASSERT_TRUE(eventually([&] { return handled(engine) == kItems; }));
      EXPECT_EQ(engine.stats().dead_letters(), kLetters);
      if (kept) {
        engine.park();
      } else {
        engine.inlet<Item>("in").close();
      }
      ASSERT_TRUE(engine.wait_for(kDeadline));
    }
    assignments.push_back("poison.retry=" + here);
    Engine engine{pipeline(Asked{.deaths = kills_asked(6, kTwentieth)}), settings(assignments)};
    engine.start();
    kill_until_all_is_retried(engine, here);
    push(engine, kItems, 2 * kItems);
    engine.inlet<Item>("in").close();
    ASSERT_TRUE(engine.wait_for(kDeadline));
    EXPECT_EQ(retried(here), kLetters);
  }
  // The numbers of all that must be on the other side, as texts in order.
  static std::vector<std::string> all() {
    std::vector<std::string> all;
    for (std::uint32_t number = 0; number < 2 * kItems; ++number)
      all.push_back(std::to_string(1'000 + number));
    return all;
  }
  static std::string text_of(const Item& item) { return std::to_string(1'000 + item.number); }

 private:
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
