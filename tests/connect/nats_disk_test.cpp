// SPDX-License-Identifier: Apache-2.0
// NatsSink while the disk of nats-server is full.
#include "nats_world.hpp"
#include "small_disk.hpp"

namespace sluice::test {
namespace {

class NatsDisk : public WithOutside {
 protected:
  void SetUp() override {
    if (!has_nats_server())
      GTEST_SKIP() << "nats-server is not here: apt install nats-server, or tools/setup";
    disk_ = std::make_unique<SmallDisk>(file("disk"), "64m");
    if (!disk_->is_there()) GTEST_SKIP() << "this user may not mount a file system";
    server_ = std::make_unique<NatsProcess>(disk_->path() / "nats");
  }
  void TearDown() override {
    server_.reset();
    disk_.reset();
    WithOutside::TearDown();
  }

  // Somebody else takes what is left, or gives it back. The server, which has seen how much there was, counts on three quarters of it.
  void fill() const {
    std::ofstream file{disk_->path() / "else"};
    const std::string piece(1 << 20, 'x');
    while (file.write(piece.data(), static_cast<std::streamsize>(piece.size())).flush()) {
    }
  }
  void make_room() const { std::filesystem::remove(disk_->path() / "else"); }

  std::unique_ptr<SmallDisk> disk_;
  std::unique_ptr<NatsProcess> server_;
};

// The server stores nothing then and says nothing of it: of a stream that it could not write to it answers no question any more, until it
// is started anew. So that is how it is found out, by the worker and by one in its place.
TEST_F(NatsDisk, ThatIsFullIsWaitedForAndNothingIsLost) {
  make_stream(server_->url(), {"OUT", "out.*"});
  NatsSinkOptions options;
  options.server.url = server_->url();
  options.server.timeout = 1s;
  options.stream = "OUT";
  options.subject = "out.0";
  Pipeline pipeline{"sending"};
  pipeline.inlet<Bytes>("in").to<NatsSink>("out", options);
  Engine engine{pipeline, settings({"poison.attempts=1"})};
  engine.start();
  auto in = engine.inlet<Bytes>("in");
  std::vector<std::string> sent{"first"};
  ASSERT_EQ(in.push(Bytes{std::string_view{sent.back()}}), PushResult::accepted);
  ASSERT_TRUE(eventually([&] { return count_of(server_->url(), "OUT") == 1; }));
  fill();
  const auto waits_for = [&](const char* what) {
    return worker_of(engine, "out/0").outside.find(what) != std::string::npos;
  };
  // What the lane takes besides, until it is full, too.
  bool full = false;
  for (int i = 0; i < 50'000 && !full; ++i) {
    sent.push_back(std::to_string(100'000 + i) + std::string(1000, '.'));
    while (!full && in.push_for(Bytes{std::string_view{sent.back()}}, 100ms) == PushResult::full)
      full = waits_for("while messages were sent");
  }
  ASSERT_TRUE(full) << worker_of(engine, "out/0").outside;
  engine.signal_worker("out/0", SIGKILL);
  EXPECT_TRUE(eventually([&] { return waits_for("the stream OUT"); })) << worker_of(engine, "out/0").outside;
  make_room();
  server_->kill();
  server_->start();
  ASSERT_EQ(in.push(Bytes{std::string_view{sent.back()}}), PushResult::accepted);
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline)) << worker_of(engine, "out/0").outside;
  EXPECT_EQ(engine.stats().dead_letters(), 0U);
  std::vector<std::string> found;
  for (const StreamMessage& message : messages_of(server_->url(), "OUT"))
    found.push_back(message.data);
  // Not by EXPECT_EQ, which would print them.
  EXPECT_TRUE(found == sent) << found.size() << " of " << sent.size();
}

}  // namespace
}  // namespace sluice::test
