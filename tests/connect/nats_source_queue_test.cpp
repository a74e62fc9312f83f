// SPDX-License-Identifier: Apache-2.0
// NatsReader beside another in one worker, and beside other readers of a work queue.
#include "nats_source_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// Reads two streams, or two parts of one, by turns.
class ReadsTwo {
 public:
  ReadsTwo(Worker& worker, const NatsSourceOptions& one, const NatsSourceOptions& other)
      : one_{worker, one}, other_{worker, other} {}
  SourceState operator()(Output<Bytes>& out) {
    is_other_ = !is_other_;
    if (const NatsMessage* message = (is_other_ ? other_ : one_).next()) {
      out.push(Bytes{message->data});
      return SourceState::more;
    }
    return one_.ended() && other_.ended() ? SourceState::end : SourceState::nothing_now;
  }

 private:
  NatsReader one_;
  NatsReader other_;
  bool is_other_ = false;
};

class NatsReaders : public NatsSourceTest {
 protected:
  void SetUp() override {
    NatsSourceTest::SetUp();
    if (!IsSkipped())
      make_stream(server().url(), {.name = "QUEUE", .subject = "queue.*", .work_queue = true});
  }
  NatsSourceOptions part(const std::string& subject, const std::string& stream = "QUEUE") {
    NatsSourceOptions part = options();
    part.stream = stream;
    part.subject = subject;
    return part;
  }
  static Pipeline reading_two(const NatsSourceOptions& one, const NatsSourceOptions& other) {
    Pipeline pipeline{"two"};
    pipeline.source<ReadsTwo>("read", one, other).outlet("out");
    return pipeline;
  }
  static std::vector<std::string> by_number(std::vector<std::string> texts) {
    std::sort(texts.begin(), texts.end(),
              [](const std::string& a, const std::string& b) { return std::stoul(a) < std::stoul(b); });
    return texts;
  }
};

// More than the pulls hold that have begun before the second reader comes.
constexpr unsigned kMany = 3000;

TEST_F(NatsReaders, OfTwoPartsOfAWorkQueueEmptyItExactlyWhateverIsKilled) {
  send_messages(server().url(), "queue.a", numbered(0, kMany));
  send_messages(server().url(), "queue.b", numbered(kMany, 2 * kMany));
  Engine engine{reading_two(part("queue.a"), part("queue.b")), settings({"restart.budget=1000000"})};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  for (std::size_t next = 1000; next < std::size_t{2} * kMany; next += 1000) {
    EXPECT_TRUE(eventually([&] { return out.count() >= next; })) << out.count();
    engine.signal_worker("read/0", SIGKILL);
  }
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(by_number(out.all()), numbered(0, 2 * kMany));
  EXPECT_EQ(count_of(server().url(), "QUEUE"), 0U);
}

TEST_F(NatsReaders, OfOneStreamReadAllOfItEach) {
  send(numbered(0, kMany));
  Engine engine{reading_two(options(), options()), settings()};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(worker_of(engine, "read/0").restarts, 0U);
  std::vector<std::string> twice = numbered(0, kMany);
  const std::vector<std::string> once = twice;
  twice.insert(twice.end(), once.begin(), once.end());
  EXPECT_EQ(sorted(out.all()), sorted(twice));
}

TEST_F(NatsReaders, OfTheSameMessagesOfAWorkQueueAreRefused) {
  const auto said_of = [this](const Pipeline& pipeline) {
    Engine engine{pipeline, settings({"log.level=off"})};
    return error_of([&] {
      engine.start();
      if (!engine.wait_for(kDeadline)) engine.stop();
    });
  };
  const auto refused = AllOf(HasSubstr("the stream QUEUE"), HasSubstr("another consumer"),
                             HasSubstr("a subject of its own"), HasSubstr("nats consumer ls QUEUE"));
  EXPECT_THAT(said_of(reading_two(part("queue.a"), part("queue.a"))), refused);
  EXPECT_THAT(said_of(reading_two(part(""), part(""))), refused);
  EXPECT_THAT(said_of(reading_two(part("queue.a"), part(""))), refused);
  Pipeline stages{"stages"};
  for (const char* stage : {"one", "other"})
    stages.source<NatsSource>(stage, part("")).outlet(std::string{"of-"} + stage);
  EXPECT_THAT(said_of(stages), refused);
}

TEST_F(NatsReaders, OfAWorkQueueTakeThePlaceOfConsumersThatTheirWorkerHasLeft) {
  send_messages(server().url(), "queue.a", numbered(0, 100));
  make_queue_consumer(server().url(), "QUEUE", "sluice-reading-read-0");  // As an earlier version called it.
  EXPECT_EQ(read(part("")), numbered(0, 100)) << said_;
  send_messages(server().url(), "queue.a", numbered(100, 200));
  EXPECT_EQ(read(part("queue.a")), numbered(100, 200)) << said_;
  EXPECT_EQ(delete_consumers(server().url(), "QUEUE"), 1U);
  make_queue_consumer(server().url(), "QUEUE", "sluice-reading-read-1-0123456789abcdef");
  read(part(""));
  EXPECT_THAT(said_, HasSubstr("another consumer")) << "of another worker";
}

}  // namespace
}  // namespace sluice::test
