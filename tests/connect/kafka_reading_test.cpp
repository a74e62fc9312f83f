// SPDX-License-Identifier: Apache-2.0
// KafkaSource behind transactions that are some: what was committed comes once and in order, and nothing else does.
#include <random>

#include <sluice/connect/kafka_sink.hpp>
#include <sluice/connect/kafka_source.hpp>

#include "kafka_broker.hpp"
#include "kill_count.hpp"
#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Says once that it has come to the end of all partitions, and waits.
class UpToTheEnd {
 public:
  UpToTheEnd(Worker& worker, const KafkaSourceOptions& options) : reader_{worker, options} {}
  SourceState operator()(Output<Bytes>& out) {
    if (const KafkaRecord* record = reader_.next()) {
      out.push(Bytes{record->value});
      return SourceState::more;
    }
    if (!reader_.ended() || said_) return SourceState::nothing_now;
    said_ = true;
    out.push(Bytes{std::string_view{"end"}});
    return SourceState::more;
  }

 private:
  KafkaReader reader_;
  bool said_ = false;
};

class KafkaReading : public WithOutside {
 protected:
  static constexpr int kPartitions = 2;

  void SetUp() override { broker_ = std::make_unique<KafkaBroker>("topic", kPartitions); }
  void TearDown() override {
    broker_.reset();
    WithOutside::TearDown();
  }
  KafkaBroker& broker() const { return *broker_; }
  template <class Options>
  Options options() const {
    Options options;
    options.server.brokers = broker_->address();
    options.topic = "topic";
    return options;
  }
  Pipeline reading(bool follow, unsigned workers = 1) const {
    auto from = options<KafkaSourceOptions>();
    from.follow = follow;
    Pipeline pipeline{"reading"};
    pipeline.source<KafkaSource>("read", {.workers = workers}, from).outlet("out");
    return pipeline;
  }
  // All that there is.
  std::vector<std::string> read() const {
    Engine engine{reading(false), settings()};
    engine.start();
    Collector<Bytes> out{engine, "out"};
    EXPECT_TRUE(engine.wait_for(kDeadline));
    return sorted(out.all());
  }
  // What a pipeline that goes on from its segment says, so many words, until it is at the end and is parked there.
  std::vector<std::string> read_on(std::size_t words) const {
    auto from = options<KafkaSourceOptions>();
    from.follow = false;
    Pipeline pipeline{"reading"};
    pipeline.source<UpToTheEnd>("read", from).outlet("out");
    Engine engine{pipeline, settings({"segment.path=" + file("segment")})};
    engine.start();
    Collector<Bytes> out{engine, "out"};
    EXPECT_TRUE(eventually([&] { return out.count() >= words || engine.wait_for(0s); }));
    engine.park();
    EXPECT_TRUE(engine.wait_for(kDeadline));
    return sorted(out.all());
  }

 private:
  std::unique_ptr<KafkaBroker> broker_;
};

TEST_F(KafkaReading, GivesNothingOfTransactionsThatWereGivenUp) {
  broker().write("aborted", 0, {"1", "2"});
  broker().write("committed", 0, {"3", "4"});
  broker().write("aborted", 0, {"5"});
  broker().write("committed", 1, {"6"});
  broker().write("aborted", 1, {"7", "8"});
  EXPECT_THAT(read(), ElementsAre("3", "4", "6"));
}

TEST_F(KafkaReading, EndsWhereThereIsNothingElse) {
  broker().write("aborted", 0, {"1", "2"});
  EXPECT_THAT(read(), IsEmpty());
}

// What stands behind it is not given either, as it would come out of order.
TEST_F(KafkaReading, WaitsForATransactionThatIsOpen) {
  for (const bool commit : {true, false}) {
    SCOPED_TRACE(commit);
    broker().write("committed", 0, {"1"});
    broker().write("open", 0, {"2"});
    broker().write("committed", 0, {"3"});
    broker().write("committed", 1, {"4"});
    Engine engine{reading(true), settings()};
    engine.start();
    Collector<Bytes> out{engine, "out"};
    const std::size_t before = commit ? 2 : 6;
    EXPECT_TRUE(eventually([&] { return out.count() >= before; }));
    EXPECT_EQ(out.count(), before);
    broker().finish(commit);
    EXPECT_TRUE(eventually([&] { return out.count() >= before + (commit ? 2U : 1U); }));
    engine.drain();
    EXPECT_TRUE(engine.wait_for(kDeadline));
    EXPECT_EQ(out.all().back(), "3");
  }
  EXPECT_THAT(read(), ElementsAre("1", "1", "2", "3", "3", "4", "4"));
}

// The last that stands in a partition is the end of a transaction, or what was given up: nobody waits for it.
TEST_F(KafkaReading, GoesOnWhereRetentionTookWhatWasForNobody) {
  broker().write("committed", 0, {"1"});
  broker().write("aborted", 0, {"2"});
  broker().write("aborted", 1, {"3"});
  EXPECT_THAT(read_on(2), ElementsAre("1", "end"));
  broker().remove_all();
  EXPECT_THAT(read_on(1), ElementsAre("end"));
  broker().write("committed", 0, {"4"});
  broker().write("committed", 1, {"5"});
  EXPECT_THAT(read_on(3), ElementsAre("4", "5", "end"));
}

TEST_F(KafkaReading, SaysThatRetentionTookWhatWasNotRead) {
  broker().write("committed", 0, {"1"});
  EXPECT_THAT(read_on(2), ElementsAre("1", "end"));
  broker().write("committed", 0, {"2"});
  broker().remove_all();
  EXPECT_THAT(error_of([&] { read_on(1); }), ::testing::HasSubstr("what is between was removed"));
}

// From a pipeline to another by way of a topic: both are killed, and the transactions that this gives up stand between the others.
TEST_F(KafkaReading, OfWhatASinkSendsWhoeverIsKilledIsEachMessageOnce) {
  const unsigned kills = kills_asked(60);
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 dice{seed};
  const std::vector<std::string> harsh{"restart.budget=1000000", "batch.events=16"};
  Pipeline pipeline{"sending"};
  pipeline.inlet<Bytes>("in").to<KafkaSink>("out", options<KafkaSinkOptions>());
  Engine sending{pipeline, settings(harsh)};
  sending.start();
  Engine reads{reading(true, 2), settings(harsh)};
  reads.start();
  Collector<Bytes> out{reads, "out"};
  auto in = sending.inlet<Bytes>("in");
  std::vector<std::string> sent;
  const auto restarts = [&] {
    return reads.stats().stages.at(0).restarts() + sending.stats().stages.at(0).restarts();
  };
  while (restarts() < kills) {
    for (auto n = 1 + dice() % 60; n != 0; --n) {
      sent.push_back(std::to_string(100'000 + sent.size()));
      ASSERT_EQ(in.push(Bytes{std::string_view{sent.back()}}), PushResult::accepted);
    }
    const auto which = dice() % 3;
    Engine& engine = which == 0 ? sending : reads;
    const std::string worker = which == 0 ? "out/0" : "read/" + std::to_string(which - 1);
    // One that is at work, mostly.
    const std::uint64_t before = worker_of(engine, worker).events_in;
    if (dice() % 4 != 0) eventually([&] { return worker_of(engine, worker).events_in != before; }, 200ms);
    engine.signal_worker(worker, SIGKILL);
  }
  in.close();
  ASSERT_TRUE(sending.wait_for(kDeadline));
  EXPECT_TRUE(eventually([&] { return out.count() >= sent.size(); })) << out.count() << " of " << sent.size();
  reads.drain();
  ASSERT_TRUE(reads.wait_for(kDeadline));
  EXPECT_EQ(sorted(out.all()), sent);
}

}  // namespace
}  // namespace sluice::test
