// SPDX-License-Identifier: Apache-2.0
// KafkaSink in a pipeline that is lost as a whole, and goes on from its segment or from a checkpoint; against a broker that has transactions.
#include <random>

#include <sluice/connect/kafka_sink.hpp>

#include "endless_numbers.hpp"
#include "kafka_broker.hpp"
#include "kill_count.hpp"
#include "outside_world.hpp"
#include "total_loss.hpp"

namespace sluice::test {
namespace {

using ::testing::HasSubstr;

class KafkaRestores : public WithOutside {
 protected:
  void SetUp() override { broker_ = std::make_unique<KafkaBroker>("out", 1, file("journal")); }
  void TearDown() override {
    broker_.reset();
    WithOutside::TearDown();
  }
  KafkaSinkOptions options() const {
    KafkaSinkOptions options;
    options.server.brokers = broker_->address();
    options.topic = "out";
    return options;
  }
  std::vector<std::string> committed() const {
    const auto values = broker_->committed();
    return values.empty() ? std::vector<std::string>{} : values.front();
  }
  bool arrive(std::size_t count) const {
    return eventually([&] { return committed().size() >= count; });
  }

  // Numbers are sent, and the worker is killed now and then, until somebody ends it; the last time it drains.
  void live(const Settings& kept, std::mt19937& random, bool last) const {
    Pipeline pipeline{"restored"};
    pipeline.source<EndlessNumbers>("numbers").to<KafkaSink>("out", options());
    Engine engine{pipeline, kept};
    engine.start();
    log_line(file("lives"), engine.resumed() ? "resumed" : "new");
    for (int turn = 0; !last || turn < 5; ++turn) {
      if (engine.wait_for(std::chrono::milliseconds{random() % 100})) return;
      engine.signal_worker("out/0", SIGKILL);
    }
    engine.drain();
    EXPECT_TRUE(engine.wait_for(kDeadline));
  }
  // Everything is lost again and again, at random instants.
  void lose_everything(const Settings& kept, unsigned losses) const {
    const auto seed = std::random_device{}();
    SCOPED_TRACE(seed);
    std::mt19937 random{seed};
    for (unsigned loss = 0; loss < losses; ++loss) {
      const std::size_t lives = lines_of(file("lives")).size();
      const auto instant = random() % 300;
      total_loss::Host host{{}, [&] { live(kept, random, false); }};
      ASSERT_TRUE(eventually([&] { return lines_of(file("lives")).size() != lives; }));
      std::this_thread::sleep_for(std::chrono::milliseconds{instant});
      host.kill(loss % 2 == 0);
      EXPECT_TRUE(host.gone());
      EXPECT_NE(host.status(), 0) << "it had ended before";
    }
    total_loss::Host host{{}, [&] { live(kept, random, true); }};
    ASSERT_TRUE(host.wait_for_end(kDeadline));
    EXPECT_EQ(host.status(), 0);
    EXPECT_EQ(lines_of(file("lives")).back(), "resumed");
    const std::vector<std::string> values = committed();
    EXPECT_FALSE(values.empty());
    for (std::size_t i = 0; i < values.size(); ++i)
      ASSERT_EQ(values[i], std::to_string(i));
  }

  std::unique_ptr<KafkaBroker> broker_;
};

TEST_F(KafkaRestores, FromTheSegmentNeitherLoseNorRepeat) {
  lose_everything(settings({"restart.budget=1000000", "batch.events=32", "watchdog.deadline=20s",
                            "log.level=off", "segment.path=" + file("segment")}),
                  kills_asked(5, kTwentieth));
}

TEST_F(KafkaRestores, FromCheckpointsNeitherLoseNorRepeat) {
  lose_everything(after_checkpoints({"restart.budget=1000000", "batch.events=32", "watchdog.deadline=20s"}),
                  kills_asked(5, kTwentieth));
}

// Two hosts go on from one checkpoint: the one that it is of was stopped meanwhile, and then has reason to make its worker anew.
TEST_F(KafkaRestores, LeaveTheirPlaceToALaterStartOfTheirRun) {
  const std::string elsewhere = file("elsewhere");
  std::filesystem::create_directory(elsewhere);
  std::filesystem::permissions(elsewhere, std::filesystem::perms::owner_all);
  const auto start = [&](const std::string& checkpoints) {
    Pipeline pipeline{"restored"};
    pipeline.inlet<Bytes>("in").to<KafkaSink>("out", options());
    auto engine = std::make_unique<Engine>(pipeline, after_checkpoints({"checkpoint.path=" + checkpoints}));
    if (checkpoints != elsewhere) {
      engine->ship_checkpoints([&elsewhere](const ShippedCheckpoint& checkpoint) {
        std::filesystem::copy_file(checkpoint.file,
                                   std::filesystem::path{elsewhere} / checkpoint.file.filename());
      });
    }
    engine->start();
    return engine;
  };
  const auto push = [](Engine& engine, int from, int to) {
    auto in = engine.inlet<Bytes>("in");
    for (; from < to; ++from)
      ASSERT_EQ(in.push(Bytes{std::string_view{std::to_string(from)}}), PushResult::accepted);
  };
  total_loss::Host zombie{{}, [&] {
                            const auto engine = start(file("checkpoints"));
                            push(*engine, 0, 10);
                            if (arrive(10)) log_line(file("done"), "ten");
                            eventually([&] { return std::filesystem::exists(file("go on")); });
                            engine->signal_worker("out/0", SIGKILL);
                            log_line(file("end"), error_of([&] { engine->wait_for(kDeadline); }));
                          }};
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(file("done")); }));
  zombie.stop();
  const auto heir = start(elsewhere);
  ASSERT_TRUE(heir->resumed());
  push(*heir, 10, 20);
  ASSERT_TRUE(arrive(20));
  log_line(file("go on"), "now");
  zombie.go_on();
  ASSERT_TRUE(zombie.wait_for_end(kDeadline));
  EXPECT_TRUE(zombie.gone());
  ASSERT_EQ(lines_of(file("end")).size(), 1U);
  EXPECT_THAT(lines_of(file("end")).front(), HasSubstr("a later start of the same run"));
  push(*heir, 20, 30);
  heir->inlet<Bytes>("in").close();
  EXPECT_TRUE(heir->wait_for(kDeadline)) << "the zombie has taken the place back";
  const std::vector<std::string> values = committed();
  ASSERT_EQ(values.size(), 30U);
  for (std::size_t i = 0; i < values.size(); ++i)
    EXPECT_EQ(values[i], std::to_string(i));
}

}  // namespace
}  // namespace sluice::test
