// SPDX-License-Identifier: Apache-2.0
// outside.after=checkpoint and a sender of TcpServer that forgets what is acknowledged: everything is lost again and again,
// memory and all, and nothing that the sender was told is ever missing. And TcpClient, whose server forgets nothing.
#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <stdexcept>
#include <utility>

#include <sluice/connect/tcp_client.hpp>

#include "support/clear_away.hpp"
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
    clear_away(directory_);
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

// A server that keeps its frames through all lives of the client, and counts them as docs/guide/tcp.md has it. Works a
// little whenever it is asked to.
class KeepingServer {
 public:
  explicit KeepingServer(const std::string& path) {
    sockaddr_un at{};
    at.sun_family = AF_UNIX;
    path.copy(at.sun_path, sizeof(at.sun_path) - 1);
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (::bind(listener_, reinterpret_cast<const sockaddr*>(&at), sizeof(at)) != 0 ||
        ::listen(listener_, 8) != 0)
      throw std::runtime_error{errno_text()};
  }
  ~KeepingServer() {
    hang_up();
    ::close(listener_);
  }
  KeepingServer(const KeepingServer&) = delete;
  KeepingServer& operator=(const KeepingServer&) = delete;

  // The newest connection is served.
  void work() {
    if (const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK); fd >= 0) {
      hang_up();
      client_ = fd;
      greeted_ = false;
      received_.clear();
    }
    char piece[4096];
    const ssize_t got = client_ < 0 ? -1 : ::recv(client_, piece, sizeof(piece), 0);
    if (got == 0) return hang_up();
    if (got < 0) return;
    received_.append(piece, static_cast<std::size_t>(got));
    for (std::size_t end; (end = received_.find('\n')) != std::string::npos; received_.erase(0, end + 1)) {
      if (std::exchange(greeted_, true)) {
        frames.push_back(received_.substr(0, end));
      } else {
        id = received_.substr(0, end);
        say("at ");
      }
    }
    say("ack ");
  }

  std::vector<std::string> frames;
  std::string id;

 private:
  void say(const std::string& word) const {
    const std::string line = word + std::to_string(frames.size()) + "\n";
    [[maybe_unused]] const ssize_t sent = ::send(client_, line.data(), line.size(), MSG_NOSIGNAL);
  }
  void hang_up() {
    if (client_ >= 0) ::close(client_);
    client_ = -1;
  }

  int listener_ = -1;
  int client_ = -1;
  bool greeted_ = false;
  std::string received_;
};

// Two sources whose numbers mix in another order each time.
class Counter {
 public:
  Counter(Worker& worker, std::string name, fs::path through)
      : worker_{worker},
        name_{std::move(name)},
        through_{std::move(through)},
        next_{worker.state<std::uint64_t>("next")} {}
  SourceState operator()(Output<Bytes>& out) {
    worker_.wait_for(std::chrono::microseconds{100});
    if (fs::exists(through_)) return SourceState::end;
    out.push(name_ + " " + std::to_string(next_.edit()++));
    return SourceState::more;
  }

 private:
  Worker& worker_;
  std::string name_;
  fs::path through_;
  Recoverable<std::uint64_t> next_;
};

class ClientLoss : public Loss {
 protected:
  Pipeline sending() const {
    Pipeline pipeline{"sends"};
    const auto counter = [&](const char* name) {
      return pipeline.source<Counter>(name, std::string{name}, directory_ / "through");
    };
    counter("a").merge(counter("b")).to<TcpSink>("out", {}, address());
    return pipeline;
  }
  Settings kept(const std::string& after) const {
    Settings settings;
    for (const std::string& assignment :
         {std::string{"checkpoint.every=5ms"}, std::string{"checkpoint.sync=no"},
          std::string{"log.level=off"}, "outside.after=" + after, std::string{"state.bytes=2MiB"},
          std::string{"undo.bytes=2MiB"}, "report.path=" + (directory_ / "reports").string(),
          "checkpoint.path=" + (directory_ / "checkpoints").string()})
      settings.set_assignment(assignment);
    return settings;
  }
};

TEST_F(ClientLoss, OfEverythingLosesNoFrameAndSendsNoneTwice) {
  KeepingServer server{(directory_ / "in.sock").string()};
  const auto host_of = [this] {
    return total_loss::Host{{}, [this] {
                              Engine engine{sending(), kept("checkpoint")};
                              engine.start();
                              engine.wait();
                            }};
  };
  for (int loss = 0; loss < 15; ++loss) {
    total_loss::Host host = host_of();
    const std::size_t enough = server.frames.size() + 1 + random_() % 40;
    ASSERT_TRUE(total_loss::within(total_loss::kDeadline, [&] {
      server.work();
      return host.ended() || server.frames.size() >= enough;
    }));
    EXPECT_FALSE(host.ended()) << "loss " << loss << ", seed " << seed_;
    host.kill(random_() % 2 == 0);
    ASSERT_TRUE(host.gone());
  }
  std::ofstream{directory_ / "through"} << "yes";
  total_loss::Host host = host_of();
  ASSERT_TRUE(total_loss::within(total_loss::kDeadline, [&] {
    server.work();
    return host.ended();
  }));
  EXPECT_EQ(host.status(), 0);
  std::map<std::string, std::uint64_t> next;
  for (const std::string& frame : server.frames) {
    const std::string name = frame.substr(0, 1);
    EXPECT_EQ(frame, name + " " + std::to_string(next[name]++)) << "seed " << seed_;
  }
  EXPECT_GT(server.frames.size(), 15U);
}

// Behind a restore it would be refused by its server for ever.
TEST_F(ClientLoss, IsNotRiskedByAStageThatDoesNotWaitForCheckpoints) {
  KeepingServer server{(directory_ / "in.sock").string()};
  const std::string error = error_of([&] {
    Engine engine{sending(), kept("commit")};
    engine.start();
  });
  EXPECT_THAT(error, testing::HasSubstr("set stage.out.outside.after=checkpoint"));
}

}  // namespace
}  // namespace sluice::test
