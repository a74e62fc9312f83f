// SPDX-License-Identifier: Apache-2.0
// NatsSource behind a server that miscounts what waits, as nats-server 2.9.10 does.
#include "cutting_proxy.hpp"
#include "nats_source_world.hpp"

namespace sluice::test {
namespace {

class MiscountedSource : public NatsSourceTest {
 protected:
  NatsSourceOptions by(const CuttingProxy& proxy, bool follow) {
    NatsSourceOptions from = options(follow);
    from.server.url = proxy.nats_url();
    return from;
  }
};

TEST_F(MiscountedSource, EndsWhereNothingIsThereAnyMore) {
  CuttingProxy proxy{server().port(), 1};
  proxy.miscount();
  send(numbered(0, 100));
  EXPECT_EQ(read(by(proxy, false)), numbered(0, 100));
  make_stream(server().url(), {.name = "QUEUE", .subject = "queue.*", .work_queue = true});
  send_messages(server().url(), "queue.a", numbered(0, 100));
  NatsSourceOptions queue = by(proxy, false);
  queue.stream = "QUEUE";
  EXPECT_EQ(read(queue), numbered(0, 100));
}

TEST_F(MiscountedSource, IsNotBehindForEver) {
  CuttingProxy proxy{server().port(), 1};
  proxy.miscount();
  send(numbered(0, 100));
  Engine engine{reading(by(proxy, true)), settings()};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  EXPECT_TRUE(eventually([&] { return out.count() == 100; }));
  EXPECT_TRUE(eventually([&] {
    const auto lag = worker_of(engine, "read/0").lag;
    return lag && lag->events == 0;
  }));
  engine.drain();
  EXPECT_TRUE(engine.wait_for(kDeadline));
}

}  // namespace
}  // namespace sluice::test
