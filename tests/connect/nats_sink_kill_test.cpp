// SPDX-License-Identifier: Apache-2.0
// NatsSink under kills: whatever dies, at whatever instant, each message is in the stream once, and in order for each owner.
#include <map>

#include "cutting_proxy.hpp"
#include "nats_world.hpp"

namespace sluice::test {
namespace {

// How many messages an item makes: none, one or three.
std::uint32_t sent_for(const Item& item) {
  if (item.number % 11 == 0) return 0;
  return item.number % 7 == 0 ? 3 : 1;
}

std::string message_of(const Item& item, std::uint32_t nth) {
  return std::to_string(item.key) + " " + std::to_string(item.number) + "/" + std::to_string(nth);
}

// Sends an item's messages; behind its flush comes one that may die before the commit.
class Sender {
 public:
  Sender(Worker& worker, const NatsSinkOptions& options, DeathsBeforeCommit* deaths)
      : sink_{worker, options}, random_{worker.incarnation()}, deaths_{deaths} {
    worker.before_commit([this] { deaths_->perhaps_die(static_cast<std::uint32_t>(random_())); });
  }
  void operator()(const Item& item) {
    for (std::uint32_t nth = 0; nth < sent_for(item); ++nth)
      sink_.publish(message_of(item, nth));
  }

 private:
  NatsSink sink_;
  std::mt19937 random_;
  DeathsBeforeCommit* deaths_;
};

class NatsSinkKills : public WithNats {
 protected:
  static constexpr unsigned kWorkers = 2;
  static constexpr std::uint32_t kKeys = 5;  // For each of the two inlets.

  void SetUp() override {
    WithNats::SetUp();
    if (IsSkipped()) return;
    make_stream(server().url(), {"OUT", "out.*"});
    random_.seed(std::random_device{}());
  }

  // Two inlets, so that each worker has two lanes, whose positions do not follow from each other.
  Pipeline sending(const NatsSinkOptions& options) {
    Pipeline pipeline{"sending"};
    pipeline.inlet<Item>("a")
        .merge(pipeline.inlet<Item>("b"))
        .by(&Item::key)
        .to<Sender>("out", {.workers = kWorkers}, options, &deaths_);
    return pipeline;
  }

  // Pushes until `enough` says so, with `hurt` after every so many items; then drains.
  void run(const NatsSinkOptions& options, const std::function<bool(Engine&)>& hurt) {
    Engine engine{sending(options),
                  settings({"restart.budget=1000000", "batch.events=64", "lane.slots=256"})};
    engine.start();
    auto a = engine.inlet<Item>("a");
    auto b = engine.inlet<Item>("b");
    std::uint32_t next_hurt = 200;
    bool enough = false;
    for (std::uint32_t number = 0; !enough; ++number) {
      ASSERT_EQ(a.push({number % kKeys, number}), PushResult::accepted);
      ASSERT_EQ(b.push({kKeys + number % kKeys, number}), PushResult::accepted);
      pushed_ = number + 1;
      if (number != next_hurt) continue;
      enough = hurt(engine);
      next_hurt = number + 1 + static_cast<std::uint32_t>(random_() % 200);
    }
    a.close();
    b.close();
    ASSERT_TRUE(engine.wait_for(10 * kDeadline));
  }

  pid_t worker(Engine& engine) {
    return worker_of(engine, "out/" + std::to_string(random_() % kWorkers)).pid;
  }

  // By key, what must be there in that order; and each worker's subject has the keys that are its own.
  void expect_each_once_and_in_order() {
    std::map<std::string, std::vector<std::string>> wanted;
    for (std::uint32_t number = 0; number < pushed_; ++number) {
      for (const std::uint32_t key : {number % kKeys, kKeys + number % kKeys}) {
        for (std::uint32_t nth = 0; nth < sent_for(Item{key, number}); ++nth)
          wanted[std::to_string(key)].push_back(message_of({key, number}, nth));
      }
    }
    std::map<std::string, std::vector<std::string>> found;
    std::map<std::string, std::string> owners;
    for (const StreamMessage& message : messages_of(server().url(), "OUT")) {
      const std::string key = message.data.substr(0, message.data.find(' '));
      found[key].push_back(message.data);
      EXPECT_EQ(owners.try_emplace(key, message.subject).first->second, message.subject) << message.data;
    }
    for (const auto& [key, messages] : wanted) {
      const auto [was, should] =
          std::mismatch(found[key].begin(), found[key].end(), messages.begin(), messages.end());
      EXPECT_EQ(found[key].size(), messages.size()) << "key " << key;
      EXPECT_TRUE(was == found[key].end() && should == messages.end())
          << "key " << key << " has " << (was == found[key].end() ? "nothing" : *was) << " where "
          << (should == messages.end() ? "nothing" : *should) << " belongs";
    }
    EXPECT_EQ(found.size(), wanted.size());
  }

  DeathsBeforeCommit deaths_;
  std::mt19937 random_;
  std::uint32_t pushed_ = 0;
};

TEST_F(NatsSinkKills, OfWorkersAtRandomInstantsNeitherLoseNorRepeat) {
  const unsigned wanted = kills_wanted(15);
  unsigned kills = 0;
  run(sink_options(), [&](Engine& engine) {
    if (const pid_t pid = worker(engine); pid > 1 && ::kill(pid, SIGKILL) == 0) ++kills;
    return kills >= wanted;
  });
  expect_each_once_and_in_order();
}

TEST_F(NatsSinkKills, BetweenTheAnswerOfTheServerAndOurCommitNeitherLoseNorRepeat) {
  deaths_.allow(static_cast<int>(kills_wanted(15)));
  run(sink_options(), [&](Engine&) { return deaths_.left() == 0; });
  expect_each_once_and_in_order();
}

TEST_F(NatsSinkKills, OfTheServerNeitherLoseNorRepeat) {
  const unsigned wanted = std::min(kills_wanted(4), 50U);
  unsigned kills = 0;
  run(sink_options(), [&](Engine&) {
    server().kill();
    server().start();
    return ++kills >= wanted;
  });
  expect_each_once_and_in_order();
}

TEST_F(NatsSinkKills, OfConnectionsInTheMidstOfAMessageNeitherLoseNorRepeat) {
  CuttingProxy proxy{server().port(), static_cast<std::uint32_t>(random_())};
  NatsSinkOptions options = sink_options();
  options.server.url = proxy.nats_url();
  const unsigned wanted = std::min(kills_wanted(10), 200U);
  proxy.cut(wanted);
  run(options, [&](Engine&) { return proxy.cuts() >= wanted; });
  expect_each_once_and_in_order();
}

// The stream forgets ids after 100 ms; the worker is dead, and the server away, for five times as long.
TEST_F(NatsSinkKills, AndAnOutageLongerThanAnyWindowNeitherLoseNorRepeat) {
  delete_stream(server().url(), "OUT");
  make_stream(server().url(), {.name = "OUT", .subject = "out.*", .duplicates_ns = 100'000'000});
  unsigned times = 0;
  run(sink_options(), [&](Engine& engine) {
    deaths_.allow(1);
    server().pause();
    if (const pid_t pid = worker(engine); pid > 1) ::kill(pid, SIGKILL);
    std::this_thread::sleep_for(500ms);
    server().resume();
    return ++times >= 4;
  });
  expect_each_once_and_in_order();
}

// The predecessor's messages are handled by the server while, or after, the successor reads how far it came.
TEST_F(NatsSinkKills, WhatADeadWorkerStillHadInItsSocketIsStoredOnceAtMost) {
  unsigned times = 0;
  run(sink_options(), [&](Engine& engine) {
    // The server stands still, so that what was sent lies in the sockets when the worker dies.
    server().pause();
    std::this_thread::sleep_for(20ms);
    if (const pid_t pid = worker(engine); pid > 1) ::kill(pid, SIGKILL);
    server().resume();
    return ++times >= std::min(kills_wanted(10), 50U);
  });
  expect_each_once_and_in_order();
}

}  // namespace
}  // namespace sluice::test
