// SPDX-License-Identifier: Apache-2.0
// KafkaSource behind transactions that are some: what was committed comes once and in order, and nothing else does.
#include <random>

#include <sluice/connect/kafka_sink.hpp>
#include <sluice/connect/kafka_source.hpp>

#include "cutting_proxy.hpp"
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

  void SetUp() override { broker_ = std::make_unique<KafkaBroker>("topic", kPartitions, file("journal")); }
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
  static Pipeline reading(const KafkaSourceOptions& from, unsigned workers = 1) {
    Pipeline pipeline{"reading"};
    pipeline.source<KafkaSource>("read", {.workers = workers}, from).outlet("out");
    return pipeline;
  }
  Pipeline reading(bool follow) const {
    auto from = options<KafkaSourceOptions>();
    from.follow = follow;
    return reading(from);
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

// From a pipeline to another by way of a topic: what is given up meanwhile stands between the others.
class KafkaThroughout : public KafkaReading {
 protected:
  // Both start before the host has threads.
  void start(const std::string& brokers, std::chrono::milliseconds timeout = 10s) {
    const std::vector<std::string> harsh{"restart.budget=1000000", "batch.events=16"};
    auto into = options<KafkaSinkOptions>();
    auto from = options<KafkaSourceOptions>();
    for (KafkaServer* server : {&into.server, &from.server}) {
      server->brokers = brokers;
      server->timeout = timeout;
    }
    Pipeline pipeline{"sending"};
    pipeline.inlet<Bytes>("in").to<KafkaSink>("out", into);
    sending_.emplace(pipeline, settings(harsh));
    sending_->start();
    reads_.emplace(reading(from, 2), settings(harsh));
    reads_->start();
    out_.emplace(*reads_, "out");
    in_.emplace(sending_->inlet<Bytes>("in"));
  }
  void push(std::size_t count) {
    for (; count != 0; --count) {
      sent_.push_back(std::to_string(100'000 + sent_.size()));
      ASSERT_EQ(in_->push(Bytes{std::string_view{sent_.back()}}), PushResult::accepted);
    }
  }
  void expect_each_once() {
    in_->close();
    ASSERT_TRUE(sending_->wait_for(kDeadline)) << worker_of(*sending_, "out/0").outside;
    EXPECT_TRUE(eventually([&] { return out_->count() >= sent_.size(); }))
        << out_->count() << " of " << sent_.size();
    reads_->drain();
    ASSERT_TRUE(reads_->wait_for(kDeadline));
    EXPECT_EQ(sorted(out_->all()), sent_);
    EXPECT_EQ(sending_->stats().dead_letters(), 0U);
    std::vector<std::string> kept;
    for (const std::vector<std::string>& values : broker().committed())
      kept.insert(kept.end(), values.begin(), values.end());
    EXPECT_EQ(sorted(kept), sent_);
    EXPECT_EQ(broker().open(), 0U);
  }

  std::optional<Engine> sending_;
  std::optional<Engine> reads_;
  std::optional<Collector<Bytes>> out_;
  std::optional<Inlet<Bytes>> in_;
  std::vector<std::string> sent_;
};

// Whether both say that they wait, and for whom.
bool wait_outside(const Engine& sending, const Engine& reads, const std::string& brokers) {
  return eventually([&] {
    const WorkerStats sink = worker_of(sending, "out/0");
    const WorkerStats source = worker_of(reads, "read/0");
    return sink.verdict == "waiting outside" && source.verdict == "waiting outside" &&
           sink.outside.find(brokers) != std::string::npos &&
           source.outside.find(brokers) != std::string::npos;
  });
}

TEST_F(KafkaThroughout, AClusterThatIsNotThereIsWaitedFor) {
  const std::string nobody = "127.0.0.1:1";
  start(nobody, 300ms);
  EXPECT_TRUE(wait_outside(*sending_, *reads_, nobody));
  sending_->stop();
  reads_->stop();
}

TEST_F(KafkaThroughout, AClusterThatDoesNotAnswerIsWaitedForAndThenEachMessageComesOnce) {
  CuttingProxy proxy{broker().port(), 1};
  broker().advertise(proxy.port());
  proxy.pause();
  const std::string brokers = "127.0.0.1:" + std::to_string(proxy.port());
  start(brokers, 300ms);
  EXPECT_TRUE(wait_outside(*sending_, *reads_, brokers));
  proxy.resume();
  push(100);
  expect_each_once();
}

TEST_F(KafkaThroughout, WhoeverIsKilledEachMessageComesOnce) {
  const unsigned kills = kills_asked(60);
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 dice{seed};
  start(broker().address());
  const auto restarts = [&] {
    return reads_->stats().stages.at(0).restarts() + sending_->stats().stages.at(0).restarts();
  };
  while (restarts() < kills) {
    push(1 + dice() % 60);
    const auto which = dice() % 3;
    Engine& engine = which == 0 ? *sending_ : *reads_;
    const std::string worker = which == 0 ? "out/0" : "read/" + std::to_string(which - 1);
    // One that is at work, mostly.
    const std::uint64_t before = worker_of(engine, worker).events_in;
    if (dice() % 4 != 0) eventually([&] { return worker_of(engine, worker).events_in != before; }, 200ms);
    engine.signal_worker(worker, SIGKILL);
  }
  expect_each_once();
}

TEST_F(KafkaThroughout, WhereverConnectionsAreCutEachMessageComesOnce) {
  const unsigned cuts = kills_asked(15, kTwentieth);
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 dice{seed};
  CuttingProxy proxy{broker().port(), seed, 6'000, 6'000};
  broker().advertise(proxy.port());
  proxy.cut(cuts);
  start("127.0.0.1:" + std::to_string(proxy.port()));
  while (proxy.cuts() < cuts && !HasFatalFailure())
    push(1 + dice() % 60);
  expect_each_once();
}

TEST_F(KafkaThroughout, WheneverTheBrokerIsKilledEachMessageComesOnce) {
  const unsigned kills = kills_asked(8, kTwentieth);
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 dice{seed};
  start(broker().address());
  for (unsigned kill = 0; kill < kills && !HasFatalFailure(); ++kill) {
    push(1 + dice() % 60);
    // Mostly while something is under way, and at any instant of that.
    if (dice() % 4 != 0) {
      const std::size_t before = out_->count();
      eventually([&] { return out_->count() != before; }, 2s);
      push(1 + dice() % 60);
    }
    std::this_thread::sleep_for(std::chrono::microseconds{dice() % 20'000});
    broker().kill();
    if (dice() % 2 == 0) push(1 + dice() % 20);
    broker().start();
  }
  expect_each_once();
}

// It has written that the transaction ends, and nobody heard it; or was asked for that, and nobody will know. Who asked may be gone, too.
TEST_F(KafkaThroughout, AfterABrokerThatIsKilledWithinACommitEachMessageComesOnce) {
  const unsigned kills = kills_asked(4, kTwentieth);
  const auto seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 dice{seed};
  start(broker().address());
  for (unsigned kill = 0; kill < kills && !HasFatalFailure(); ++kill) {
    broker().treat_ends(kill % 2 == 0 ? KafkaEnds::held : KafkaEnds::unanswered);
    push(1 + dice() % 60);
    ASSERT_TRUE(eventually([&] { return broker().unanswered() != 0; }));
    broker().kill();
    if (kill % 4 >= 2) sending_->signal_worker("out/0", SIGKILL);
    broker().start();
  }
  expect_each_once();
}

}  // namespace
}  // namespace sluice::test
