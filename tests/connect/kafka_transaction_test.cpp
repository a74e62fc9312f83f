// SPDX-License-Identifier: Apache-2.0
// KafkaSink against a broker whose transactions are some: what is killed, and when, makes no message too many or too few.
#include <algorithm>
#include <map>
#include <random>

#include <sluice/connect/kafka_sink.hpp>

#include "kafka_broker.hpp"
#include "kill_count.hpp"
#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Sends an item by its key. In so many of its first lives it may die between the transaction and the commit of its worker.
class Sends {
 public:
  Sends(Worker& worker, const KafkaSinkOptions& options, unsigned deaths) : sink_{worker, options} {
    worker.before_commit([&worker, deaths, random = std::mt19937{std::random_device{}()}]() mutable {
      if (worker.incarnation() <= deaths && random() % 3 == 0) ::raise(SIGKILL);
    });
  }
  void operator()(const Item& item) {
    sink_.publish(std::to_string(100'000 + item.number), std::to_string(item.key));
  }

 private:
  KafkaSink sink_;
};

class KafkaTransactions : public WithOutside {
 protected:
  static constexpr std::uint32_t kKeys = 7;

  void SetUp() override { broker_ = std::make_unique<KafkaBroker>("out", 4, file("journal")); }
  void TearDown() override {
    broker_.reset();
    WithOutside::TearDown();
  }
  KafkaBroker& broker() const { return *broker_; }
  KafkaSinkOptions options() const {
    KafkaSinkOptions options;
    options.server.brokers = broker_->address();
    options.topic = "out";
    return options;
  }
  Pipeline sending(unsigned workers = 1, unsigned deaths = 0) const {
    Pipeline pipeline{"sending"};
    pipeline.inlet<Item>("in").by(&Item::key).to<Sends>("out", {.workers = workers}, options(), deaths);
    return pipeline;
  }
  // Items from 0 to `count`, each once, and those of a key in order.
  void expect(std::size_t count) const {
    std::vector<std::string> all;
    for (const std::vector<std::string>& values : broker_->committed()) {
      std::map<std::uint64_t, std::string> last;
      for (const std::string& value : values) {
        std::string& before = last[std::stoul(value) % kKeys];
        EXPECT_LT(before, value);
        before = value;
        all.push_back(value);
      }
    }
    std::sort(all.begin(), all.end());
    ASSERT_EQ(all.size(), count);
    for (std::size_t i = 0; i < count; ++i)
      ASSERT_EQ(all[i], std::to_string(100'000 + i));
    EXPECT_EQ(broker_->open(), 0U);
  }

  // The next ones.
  void send(Inlet<Item>& in, std::uint32_t count) {
    for (; count != 0; --count, ++sent_)
      ASSERT_EQ(in.push(Item{.key = sent_ % kKeys, .number = sent_}), PushResult::accepted);
  }
  Settings harsh() const { return settings({"restart.budget=1000000", "batch.events=32", "lane.slots=256"}); }

  std::uint32_t sent_ = 0;

 private:
  std::unique_ptr<KafkaBroker> broker_;
};

TEST_F(KafkaTransactions, OfWorkersThatAreKilledAtRandomInstantsNeitherLoseNorRepeat) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 dice{seed};
  Engine engine{sending(2), harsh()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  const unsigned kills = kills_asked(40);
  while (engine.stats().stages.at(0).restarts() < kills) {
    const std::string worker = "out/" + std::to_string(dice() % 2);
    const std::uint64_t before = worker_of(engine, worker).events_in;
    send(in, 64 + static_cast<std::uint32_t>(dice() % 100));
    // One that has begun, mostly.
    if (dice() % 4 != 0) eventually([&] { return worker_of(engine, worker).events_in != before; }, 200ms);
    engine.signal_worker(worker, SIGKILL);
  }
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(engine.stats().dead_letters(), 0U);
  expect(sent_);
}

TEST_F(KafkaTransactions, OfWorkersThatDieBetweenBothCommitsNeitherLoseNorRepeat) {
  const unsigned deaths = kills_asked(20, kTwentieth);
  Engine engine{sending(1, deaths), harsh()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  while (engine.stats().stages.at(0).restarts() < deaths)
    send(in, 32);
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  expect(sent_);
}

// A cluster ends it by itself only once its time is over, and the marks that it has are not given as long as that.
TEST_F(KafkaTransactions, OfWorkersThatDiedInTheirMidstAreNotWaitedFor) {
  Engine engine{sending(), harsh()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  send(in, 1);
  ASSERT_TRUE(eventually([&] { return !broker().committed().empty(); }));
  broker().treat_ends(KafkaEnds::held);
  send(in, 1);
  ASSERT_TRUE(eventually([&] { return broker().open() == 1; }));
  engine.signal_worker("out/0", SIGKILL);
  broker().treat_ends(KafkaEnds::answered);
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline)) << worker_of(engine, "out/0").outside;
  EXPECT_EQ(broker().aborted(), 1U);
  expect(sent_);
}

TEST_F(KafkaTransactions, WhoseEndNobodyHearsNeitherLoseNorRepeat) {
  broker().cut_ends();
  Engine engine{sending(2), harsh()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  send(in, 600);
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline)) << worker_of(engine, "out/0").outside;
  expect(sent_);
}

TEST_F(KafkaTransactions, OfAWriterWhosePlaceAnotherHasTakenAreRefused) {
  Engine engine{sending(), settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  send(in, 1);
  ASSERT_TRUE(eventually([&] { return !broker().committed().empty(); }));
  {
    Engine other{sending(), settings()};
    other.start();
    auto others = other.inlet<Item>("in");
    send(others, 1);
    others.close();
    ASSERT_TRUE(other.wait_for(kDeadline));
  }
  EXPECT_THAT(error_of([&] {
                std::ignore = in.push(Item{.key = 0, .number = 99});
                engine.wait_for(kDeadline);
              }),
              AllOf(HasSubstr("the topic out of"), HasSubstr("another process has taken over")));
  expect(sent_);
}

}  // namespace
}  // namespace sluice::test
