// SPDX-License-Identifier: Apache-2.0
// outside.after=checkpoint and a sender of TcpServer that forgets what is acknowledged: everything is lost again and again,
// memory and all, and nothing that the sender was told is ever missing.
#include <filesystem>
#include <fstream>
#include <random>
#include <utility>

#include "tcp_peer.hpp"
#include "total_loss.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;

class Loss : public testing::Test {
 protected:
  Loss() {
    std::string name = (fs::temp_directory_path() / "sluice-tcp-loss-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    std::cout << "seed " << seed_ << "\n";
  }
  ~Loss() override {
    fs::remove_all(directory_);
    ::prctl(PR_SET_CHILD_SUBREAPER, 0);  // The other tests of this program count what comes to them.
  }

  std::string address() const { return "unix:" + (directory_ / "in.sock").string(); }

  // A host's life: until it is killed or, the last one, until the sender is through.
  void live(bool last) const {
    Listener listener{address()};
    Pipeline pipeline{"kept"};
    tcp_source(pipeline, "in", listener, {.acknowledge = true}).to<ShowFrame>("show").outlet("out");
    Settings settings;
    for (const char* assignment :
         {"checkpoint.every=3ms", "checkpoint.sync=no", "outside.after=checkpoint", "log.level=off"})
      settings.set_assignment(assignment);
    // By hand: what `commit` loses.
    if (const char* after = std::getenv("CONNECT_LOSS_AFTER"))
      settings.set("outside.after", after, Origin::command_line);
    settings.set("checkpoint.path", (directory_ / "checkpoints").string());
    Engine engine{pipeline, settings};
    engine.start();
    auto out = engine.outlet<Bytes>("out");
    while (!out.ended()) {
      out.poll_for(std::chrono::milliseconds{5}, [](const Bytes&) {});
      if (last && fs::exists(directory_ / "through")) engine.drain();
    }
    engine.wait();
  }

  // The sender: sends the next frames that it has not been told of, and hears, until the connection breaks, or it was told
  // of `enough`. False when the server has less than it has told.
  bool speak(total_loss::Host& host, std::uint64_t enough, bool kill) {
    TcpPeer peer{address()};
    if (!peer.connected() || !peer.send("hello me\n")) return true;
    const auto at = number_in(peer.line(), "at");
    if (!at) return true;
    if (*at < told_) return false;
    told_ = *at;
    if (kill && random_() % 8 == 0) lose(host);
    std::uint64_t sent = *at;
    while (told_ < enough) {
      std::string frames;
      for (; sent < told_ + kWindow; ++sent)
        frames += std::to_string(sent + 1) + "\n";
      if (!peer.send(frames)) return true;
      const auto line = peer.line();
      const auto count = number_in(line, "ack");
      if (!count) return true;
      told_ = *count;
      if (kill && random_() % 32 == 0) lose(host);
      // It asks again in the same life, too.
      if (kill && !lost_ && random_() % 8 == 0) return true;
    }
    return true;
  }
  // What has been told and is on its way still counts.
  void lose(total_loss::Host& host) {
    if (!std::exchange(lost_, true)) host.kill(random_() % 2 == 0);
  }

  static constexpr std::uint64_t kWindow = 50;

  std::uint64_t seed_ = std::random_device{}();
  std::mt19937_64 random_{seed_};
  fs::path directory_;
  std::uint64_t told_ = 0;
  bool lost_ = false;  // This life.
};

TEST_F(Loss, NothingThatWasAcknowledgedIsEverMissing) {
  constexpr int kLosses = 40;
  constexpr std::uint64_t kForEver = std::uint64_t{1} << 40;
  for (int loss = 0; loss < kLosses; ++loss) {
    total_loss::Host host{{}, [this] { live(false); }};
    lost_ = false;
    ASSERT_TRUE(total_loss::within(total_loss::kDeadline, [&] {
      EXPECT_TRUE(speak(host, kForEver, true))
          << told_ << " were acknowledged; loss " << loss << ", seed " << seed_;
      return host.ended() || lost_ || HasFailure();
    }));
    host.kill();
    ASSERT_TRUE(host.gone());
    ASSERT_FALSE(HasFailure());
  }
  const std::uint64_t enough = told_ + 200;
  total_loss::Host host{{}, [this] { live(true); }};
  EXPECT_TRUE(total_loss::within(total_loss::kDeadline, [&] {
    EXPECT_TRUE(speak(host, enough, false)) << "seed " << seed_;
    return told_ >= enough || HasFailure();
  }));
  std::ofstream{directory_ / "through"} << told_;
  ASSERT_TRUE(host.wait_for_end(total_loss::kDeadline)) << "seed " << seed_;
  EXPECT_EQ(host.status(), 0);
  std::cout << told_ << " frames\n";
}

}  // namespace
}  // namespace sluice::test
