// SPDX-License-Identifier: Apache-2.0
// KafkaSink and KafkaSource against a mock cluster, or real brokers. The mock's transactions are none: it shows the messages of
// one that was cut off, and forgets the offsets that it commits, so that deaths of a sink are for real brokers, and in
// kafka_transaction_test.cpp.
#include <algorithm>
#include <atomic>
#include <functional>
#include <random>
#include <sys/mman.h>

#include <sluice/connect/kafka_sink.hpp>
#include <sluice/connect/kafka_source.hpp>

#include "kafka_broker.hpp"
#include "kafka_cluster.hpp"
#include "kafka_marks.hpp"
#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

constexpr int kPartitions = 4;

class WithKafka : public WithOutside {
 protected:
  void SetUp() override {
    cluster_ = std::make_unique<KafkaCluster>(std::vector<std::string>{"in", "out"}, kPartitions);
    if (!cluster_->is_mock() && cluster_->values_of("out").size() > 1)
      GTEST_SKIP() << "make the topics anew first";
  }
  void TearDown() override {
    cluster_.reset();
    WithOutside::TearDown();
  }
  KafkaCluster& cluster() { return *cluster_; }
  KafkaServer server() {
    KafkaServer server;
    server.brokers = cluster_->brokers();
    return server;
  }
  KafkaSinkOptions into_out() {
    KafkaSinkOptions options;
    options.server = server();
    options.topic = "out";
    return options;
  }
  KafkaSourceOptions from_in(bool follow) {
    KafkaSourceOptions options;
    options.server = server();
    options.topic = "in";
    options.follow = follow;
    return options;
  }
  // What comes into it is sent.
  static Pipeline sending(const KafkaSinkOptions& options) {
    Pipeline pipeline{"sending"};
    pipeline.inlet<Bytes>("in").to<KafkaSink>("out", options);
    return pipeline;
  }
  // Of all partitions; each must be in order.
  std::vector<std::string> values_of(const std::string& topic) {
    std::vector<std::string> all;
    for (const std::vector<std::string>& values : cluster_->values_of(topic))
      all.insert(all.end(), values.begin(), values.end());
    return sorted(all);
  }
  static std::vector<std::string> numbered(unsigned count) {
    std::vector<std::string> texts;
    texts.reserve(count);
    for (unsigned i = 0; i < count; ++i)
      texts.push_back(std::to_string(100'000 + i));
    return texts;
  }

 private:
  std::unique_ptr<KafkaCluster> cluster_;
};

// Sends an item by its key; behind its flush comes one that dies in one of several, as long as any deaths are left.
class ByKey {
 public:
  ByKey(Worker& worker, const KafkaSinkOptions& options, std::atomic<int>* deaths)
      : sink_{worker, options}, random_{worker.incarnation()} {
    worker.before_commit([this, deaths] {
      if (random_() % 3 == 0 && deaths->load() > 0 && deaths->fetch_sub(1) > 0) ::raise(SIGKILL);
    });
  }
  void operator()(const Item& item) {
    sink_.publish(std::to_string(100'000 + item.number), std::to_string(item.key));
  }

 private:
  KafkaSink sink_;
  std::mt19937 random_;
};

TEST_F(WithKafka, SendsEachMessageOnceAndKeepsTheOrderOfAKey) {
  void* memory =
      ::mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  auto* deaths = new (memory) std::atomic<int>{cluster().is_mock() ? 0 : 50};
  Pipeline pipeline{"sending"};
  pipeline.inlet<Item>("in").by(&Item::key).to<ByKey>("out", {.workers = 2}, into_out(), deaths);
  Engine engine{pipeline, settings({"batch.events=64", "lane.slots=256"})};
  engine.start();
  auto in = engine.inlet<Item>("in");
  const std::vector<Item> sent = items(3000, 7);
  for (const Item& item : sent)
    ASSERT_EQ(in.push(item), PushResult::accepted);
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_LE(deaths->load(), 0);
  for (const std::vector<std::string>& values : cluster().values_of("out")) {
    std::map<std::uint32_t, std::string> last;
    for (const std::string& value : values) {
      std::string& before = last[static_cast<std::uint32_t>(std::stoul(value)) % 7];
      EXPECT_LT(before, value);
      before = value;
    }
  }
  EXPECT_EQ(values_of("out"), numbered(3000));
  ::munmap(memory, sizeof(std::atomic<int>));
}

TEST_F(WithKafka, RefusesMessagesThatAreTooLarge) {
  KafkaSinkOptions options = into_out();
  options.server.settings = {{"message.max.bytes", "2000"}};
  Engine engine{sending(options), settings()};
  engine.start();
  auto in = engine.inlet<Bytes>("in");
  // It comes first: behind a commit its refusal would have the mock asked for the watermarks that it has forgotten.
  for (const std::string& text : {std::string(5000, 'x'), std::string{"one"}, std::string{"two"}})
    std::ignore = in.push(Bytes{std::string_view{text}});
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(values_of("out"), (std::vector<std::string>{"one", "two"}));
  EXPECT_EQ(worker_of(engine, "out/0").dead_letters, 1U);
}

TEST_F(WithKafka, SaysWhichSettingIsWrongAndNotItsValue) {
  KafkaSinkOptions options = into_out();
  options.server.settings = {{"security.protocol", "very-secret"}};
  Engine engine{sending(options), settings()};
  EXPECT_THAT(error_of([&] {
                engine.start();
                engine.wait_for(kDeadline);
              }),
              AllOf(HasSubstr("security.protocol"), Not(HasSubstr("very-secret"))));
}

TEST_F(WithKafka, SaysThatATimeLimitIsNone) {
  KafkaSinkOptions options = into_out();
  options.server.timeout = -1ms;
  Engine engine{sending(options), settings()};
  EXPECT_THAT(error_of([&] { engine.start(); }), HasSubstr("KafkaServer::timeout = -1 ms"));
}

TEST_F(WithKafka, SaysThatAPasswordIsWrong) {
  const KafkaBroker broker{"in", 1, file("journal")};
  KafkaServer wrong;
  wrong.brokers = broker.address();
  wrong.timeout = 500ms;
  wrong.settings = {{"security.protocol", "sasl_plaintext"},
                    {"sasl.mechanisms", "PLAIN"},
                    {"sasl.username", "somebody"},
                    {"sasl.password", "very-secret"}};
  KafkaSinkOptions sink = into_out();
  sink.server = wrong;
  KafkaSourceOptions source = from_in(true);
  source.server = wrong;
  Pipeline reading{"reading"};
  reading.source<KafkaSource>("read", source).outlet("out");
  for (const Pipeline& pipeline : {sending(sink), reading}) {
    Engine engine{pipeline, settings()};
    EXPECT_THAT(error_of([&] {
                  engine.start();
                  if (!engine.wait_for(kDeadline)) engine.stop();
                }),
                AllOf(HasSubstr("Invalid username or password"), HasSubstr("look at the user"),
                      Not(HasSubstr("very-secret"))));
  }
}

// What a sink says of a cluster that answers so, at the start or at the second message; nothing if it waits.
class KafkaRefusals : public WithKafka {
 protected:
  void SetUp() override {
    WithKafka::SetUp();
    if (!cluster().is_mock()) GTEST_SKIP() << "brokers do not answer as they are told";
  }
  std::string sink_says(const std::function<void()>& hurt) {
    Engine engine{sending(into_out()), settings()};
    return error_of([&] {
      engine.start();
      auto in = engine.inlet<Bytes>("in");
      std::ignore = in.push(Bytes{std::string_view{"one"}});
      EXPECT_TRUE(eventually([&] { return worker_of(engine, "out/0").events_in == 1; }));
      hurt();
      std::ignore = in.push(Bytes{std::string_view{"two"}});
      if (!engine.wait_for(kDeadline)) engine.stop();
    });
  }
};

constexpr int kUnknownTopic = 3;
constexpr int kNotForThisTopic = 29;
constexpr int kNotForThisTransactionalId = 53;

TEST_F(KafkaRefusals, OfMessagesForATopicThatIsNotForThisUserEndThePipeline) {
  EXPECT_THAT(
      sink_says([&] { cluster().refuse_requests(0, kNotForThisTopic); }),
      AllOf(HasSubstr("the topic out of"), HasSubstr("Topic authorization failed"), HasSubstr("user")));
}

TEST_F(KafkaRefusals, OfATransactionWithATopicThatIsNotForThisUserEndThePipeline) {
  EXPECT_THAT(sink_says([&] { cluster().refuse_requests(24, kNotForThisTopic); }),
              AllOf(HasSubstr("the topic out of"), HasSubstr("authorization failed"), HasSubstr("user")));
}

// The library says then of the watermarks, which are under way, that they came in a wrong state.
TEST_F(KafkaRefusals, OfATransactionThatAreToldLateEndThePipeline) {
  EXPECT_THAT(sink_says([&] {
                cluster().refuse_requests(24, kNotForThisTopic);
                cluster().delay_answers(50);
              }),
              AllOf(HasSubstr("the topic out of"), HasSubstr("authorization failed"), HasSubstr("user")));
}

TEST_F(KafkaRefusals, OfMessagesThatTheBrokerFindsTooLargeMakeDeadLetters) {
  cluster().refuse_requests(0, 10);
  Engine engine{sending(into_out()), settings()};
  engine.start();
  auto in = engine.inlet<Bytes>("in");
  std::ignore = in.push(Bytes{std::string_view{"one"}});
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(worker_of(engine, "out/0").dead_letters, 1U);
}

TEST_F(KafkaRefusals, OfTheIdOfTheTransactionsEndThePipeline) {
  cluster().refuse_requests(22, kNotForThisTransactionalId);
  EXPECT_THAT(sink_says([] {}), AllOf(HasSubstr("Transactional Id authorization failed"), HasSubstr("user")));
}

TEST_F(KafkaRefusals, OfATopicThatIsNotThereEndThePipeline) {
  cluster().set_topic_error("out", kUnknownTopic);
  EXPECT_THAT(sink_says([] {}), AllOf(HasSubstr("the topic out of"), HasSubstr("--create")));
  cluster().set_topic_error("in", kUnknownTopic);
  Pipeline pipeline{"reading"};
  pipeline.source<KafkaSource>("read", from_in(true)).outlet("out");
  Engine engine{pipeline, settings()};
  EXPECT_THAT(error_of([&] {
                engine.start();
                engine.wait_for(kDeadline);
                engine.stop();
              }),
              AllOf(HasSubstr("the topic in of"), HasSubstr("--create")));
}

// The cluster got them while the pipeline stood still; the mock gets none while it runs.
TEST_F(WithKafka, ReadsPartitionsThatWereAddedFromTheirBeginning) {
  if (!cluster().is_mock()) GTEST_SKIP() << "topics of brokers are made by hand";
  const auto read = [this](const KafkaCluster& from, std::size_t count) {
    KafkaSourceOptions options = from_in(true);
    options.server.brokers = from.brokers();
    options.from_beginning = false;
    Pipeline pipeline{"reading"};
    pipeline.source<KafkaSource>("read", options).outlet("out");
    Engine engine{pipeline, settings({"segment.path=" + file("segment")})};
    engine.start();
    Collector<Bytes> out{engine, "out"};
    EXPECT_TRUE(eventually([&] { return worker_of(engine, "read/0").events_in > 0; }));
    EXPECT_TRUE(eventually([&] { return out.count() == count; })) << out.count() << " of " << count;
    engine.park();
    EXPECT_TRUE(engine.wait_for(kDeadline));
    return sorted(out.all());
  };
  const KafkaCluster before{{"in"}, 2};
  EXPECT_THAT(read(before, 0), IsEmpty());
  const KafkaCluster after{{"in"}, 4};
  after.send("in", numbered(40));
  EXPECT_EQ(read(after, 40), numbered(40));
}

// A pipeline is parked behind what a topic holds, and finds another one in its place.
class KafkaTopicMadeAnew : public WithKafka {
 protected:
  void SetUp() override {
    WithKafka::SetUp();
    if (!cluster().is_mock()) GTEST_SKIP() << "topics of brokers are made by hand";
  }
  // Handles all that is there and is parked; what it says if it ends before.
  std::string read(const KafkaCluster& from, std::size_t count) {
    KafkaSourceOptions options = from_in(true);
    options.server.brokers = from.brokers();
    Pipeline pipeline{"reading"};
    pipeline.source<KafkaSource>("read", options).outlet("out");
    Engine engine{pipeline, settings({"segment.path=" + file("segment"), "outside.patience=1s"})};
    return error_of([&] {
      engine.start();
      Collector<Bytes> out{engine, "out"};
      EXPECT_TRUE(eventually([&] { return out.count() >= count || engine.wait_for(0s); }));
      engine.park();
      EXPECT_TRUE(engine.wait_for(kDeadline));
    });
  }
};

TEST_F(KafkaTopicMadeAnew, IsFoundOutWhereItHoldsLess) {
  const KafkaCluster before{{"in"}, 1};
  before.send("in", numbered(10));
  EXPECT_EQ(read(before, 10), "");
  const KafkaCluster after{{"in"}, 1};
  after.send("in", numbered(4));
  EXPECT_THAT(read(after, 1), AllOf(HasSubstr("partition 0 ends at offset 4, and 10 is to be read next"),
                                    HasSubstr("made anew"), Not(HasSubstr("retention"))));
}

TEST_F(KafkaTopicMadeAnew, IsFoundOutWhereItHasFewerPartitions) {
  const KafkaCluster before{{"in"}, 4};
  before.send("in", numbered(8));
  EXPECT_EQ(read(before, 8), "");
  const KafkaCluster after{{"in"}, 2};
  after.send("in", numbered(8));
  EXPECT_THAT(read(after, 1), AllOf(HasSubstr("has 2 partitions, and had 4"), HasSubstr("made anew")));
}

// The mock keeps 5 MiB of a partition.
TEST_F(KafkaTopicMadeAnew, IsNoneWhereRetentionTookWhatWasNotRead) {
  const KafkaCluster cluster{{"in"}, 1};
  cluster.send("in", numbered(10));
  EXPECT_EQ(read(cluster, 10), "");
  for (int i = 0; i < 100; ++i)
    cluster.send("in", {std::string(100'000, 'x')});
  EXPECT_THAT(read(cluster, 1),
              AllOf(HasSubstr("partition 0 begins at offset "), HasSubstr("and 10 is to be read next"),
                    HasSubstr("retention.bytes"), Not(HasSubstr("made anew"))));
}

TEST_F(WithKafka, ReadsEachMessageOnceWhateverIsKilled) {
  const std::vector<std::string> all = numbered(4000);
  const auto send = [&](std::size_t from, std::size_t to) {
    cluster().send("in", {all.begin() + static_cast<std::ptrdiff_t>(from),
                          all.begin() + static_cast<std::ptrdiff_t>(to)});
  };
  send(0, 400);
  Pipeline pipeline{"reading"};
  pipeline.source<KafkaSource>("read", {.workers = 2}, from_in(true)).outlet("out");
  Engine engine{pipeline, settings({"batch.events=64"})};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  for (std::size_t sent = 400; sent < 4000; sent += 300) {
    EXPECT_TRUE(eventually([&] { return out.count() + 200 >= sent; }));
    send(sent, sent + 300);
    const pid_t pid = worker_of(engine, "read/" + std::to_string(sent / 300 % 2)).pid;
    if (pid > 1) ::kill(pid, SIGKILL);
  }
  EXPECT_TRUE(eventually([&] { return out.count() >= 4000; }));
  engine.drain();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(sorted(out.all()), numbered(4000));
}

TEST_F(WithKafka, ReadsWhatIsThereAndEnds) {
  cluster().send("in", numbered(100));
  Pipeline pipeline{"reading"};
  pipeline.source<KafkaSource>("read", from_in(false)).outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(sorted(out.all()), numbered(100));
}

TEST(KafkaMarks, AreReadAsTheyWereWrittenAndOfNoOtherRun) {
  const std::uint64_t origin = 0x1f2e3d4c50200400;
  const detail::KafkaProgress progress{17, {{origin, 4096}, {origin + 3, ~std::uint64_t{0}}}};
  const std::string text = detail::to_metadata(origin, progress);
  EXPECT_EQ(detail::progress_in(text, origin), progress);
  EXPECT_EQ(detail::progress_in(text, origin + 1024), detail::KafkaProgress{});
  const detail::KafkaProgress before{0, {{origin, 7}}};
  EXPECT_EQ(detail::progress_in("1 1f2e3d4c50200400 0:7", origin), before)
      << "an earlier version wrote no life";
  for (const char* wrong :
       {"", "1", "2", "1 1f2e3d4c50200400 0", "1 1f2e3d4c50200400 0:", "1 1f2e3d4c50200400 x:1",
        "2 1f2e3d4c50200400", "2 1f2e3d4c50200400 ", "2 1f2e3d4c50200400 x 0:1", "2 1f2e3d4c50200400 17 0",
        "2 1f2e3d4c5020040017 0:1"})
    EXPECT_EQ(detail::progress_in(wrong, origin), detail::KafkaProgress{}) << wrong;
}

}  // namespace
}  // namespace sluice::test
