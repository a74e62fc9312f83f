// SPDX-License-Identifier: Apache-2.0
// NatsSource and a server, or a stream, that allows little.
#include "nats_source_world.hpp"

namespace sluice::test {
namespace {

class LimitedNats : public NatsSourceTest {
 protected:
  // Another server, with limits of JetStream.
  void allow(const std::string& limits) {
    serve("jetstream { store_dir: \"" + file("limited") + "\", limits { " + limits + " } }", false);
  }
};

TEST_F(LimitedNats, AreReadByPullsAsSmallAsTheServerAllows) {
  allow("max_request_batch: 100");
  make_stream(server().url(), {"IN", "in.*"});
  send(numbered(0, 1000));
  EXPECT_EQ(read(options(), settings({"outside.patience=5s"})), numbered(0, 1000)) << said_;
}

TEST_F(LimitedNats, AreEmptiedWithAsFewUnacknowledgedAsTheServerAllows) {
  for (const unsigned allowed : {1U, 100U}) {
    allow("max_ack_pending: " + std::to_string(allowed));
    make_stream(server().url(), {.name = "IN", .subject = "in.*", .work_queue = true});
    const unsigned count = 20 * allowed;
    send(numbered(0, count));
    EXPECT_EQ(read(options(), settings({"outside.patience=30s"})), numbered(0, count)) << said_;
    EXPECT_TRUE(eventually([&] { return count_of(server().url(), "IN") == 0; }));
  }
}

TEST_F(LimitedNats, HaveRoomForAsManyReplacementsAsThereAre) {
  make_stream(server().url(), {.name = "FEW", .subject = "few.*", .max_consumers = 1});
  NatsSourceOptions few = options(true);
  few.stream = "FEW";
  Engine engine{reading(few), settings({"restart.budget=1000000"})};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  for (unsigned kills = 0; kills < 5; ++kills) {
    send(numbered(20 * kills, 20 * kills + 20), "few.a");
    EXPECT_TRUE(eventually([&] { return out.count() == 20 * kills + 20; })) << out.count();
    EXPECT_TRUE(eventually([&] { return engine.signal_worker("read/0", SIGKILL); }));
  }
  engine.drain();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(out.all(), numbered(0, 100));
}

TEST_F(LimitedNats, AreWaitedForWhileOthersHaveAllTheirConsumers) {
  make_stream(server().url(), {.name = "FEW", .subject = "few.*", .max_consumers = 1});
  NatsSourceOptions few = options(true);
  few.stream = "FEW";
  Pipeline other{"other"};
  other.source<NatsSource>("read", few).outlet("out");
  Engine first{other, settings()};
  first.start();
  Engine engine{reading(few), settings()};
  engine.start();
  EXPECT_TRUE(eventually([&] {
    return worker_of(engine, "read/0").outside.find("no room for another consumer") != std::string::npos;
  })) << worker_of(engine, "read/0").outside;
  first.stop();
  EXPECT_EQ(delete_consumers(server().url(), "FEW"), 1U);
  send(numbered(0, 20), "few.a");
  Collector<Bytes> out{engine, "out"};
  EXPECT_TRUE(eventually([&] { return out.count() == 20; }));
  engine.stop();
}

}  // namespace
}  // namespace sluice::test
