// SPDX-License-Identifier: Apache-2.0
// What the other side of a connection does that is not in docs/guide/tcp.md.
#include <atomic>
#include <deque>
#include <thread>

#include <sluice/connect/tcp_client.hpp>
#include <sluice/detail/descriptor.hpp>

#include "tcp_peer.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

// A server by hand, at a Unix socket, and a pipeline whose inlet "in" sends to it.
class HostileServers : public WithOutside {
 protected:
  HostileServers() : path_{file("socket")} {
    sockaddr_un here{};
    here.sun_family = AF_UNIX;
    path_.copy(here.sun_path, sizeof(here.sun_path) - 1);
    EXPECT_EQ(::bind(listening_.get(), reinterpret_cast<const sockaddr*>(&here), sizeof(here)), 0);
    EXPECT_EQ(::listen(listening_.get(), 8), 0);
  }
  void send_to_it(const TcpClientOptions& options, const std::vector<std::string>& assignments = {}) {
    Pipeline pipeline{"sending"};
    pipeline.inlet<Bytes>("in").to<TcpSink>("out", {}, "unix:" + path_, options);
    sending_ = std::make_unique<Engine>(pipeline, settings(assignments));
    sending_->start();
    in_.emplace(sending_->inlet<Bytes>("in"));
  }
  void push(std::string_view frame) { EXPECT_EQ(in_->push(Bytes{frame}), PushResult::accepted); }
  // The next client that says hello, and hears that nothing of it is there; one that has given up meanwhile does not.
  detail::Descriptor greet() const {
    while (true) {
      pollfd called{listening_.get(), POLLIN, 0};
      EXPECT_EQ(::poll(&called, 1, 60'000), 1);
      detail::Descriptor client{::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC)};
      if (!client || (skip_line(client) && say(client, "at 0\n"))) return client;
    }
  }
  static bool skip_line(const detail::Descriptor& client) {
    char byte = 0;
    while (::recv(client.get(), &byte, 1, 0) == 1)
      if (byte == '\n') return true;
    return false;
  }
  static bool say(const detail::Descriptor& client, std::string_view words) {
    return ::send(client.get(), words.data(), words.size(), MSG_NOSIGNAL) > 0;
  }

  std::string path_;
  detail::Descriptor listening_{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  std::unique_ptr<Engine> sending_;
  std::optional<Inlet<Bytes>> in_;
};

// The client would listen to it until the watchdog ends it, and with its budget the pipeline.
TEST_F(HostileServers, ThatSayTheSameForEverAreAway) {
  for (const std::string_view words : {"ack 0\nack 0\nack 0\nack 0\nack 0\nack 0\nack 0\nack 0\n", "a"}) {
    send_to_it({.id = "me", .call_limit = 500ms}, {"restart.budget=0", "watchdog.deadline=1s"});
    {
      const detail::Descriptor client = greet();
      push("one");
      while (say(client, words)) {
      }
    }
    const detail::Descriptor client = greet();
    EXPECT_TRUE(skip_line(client));
    EXPECT_TRUE(say(client, "ack 1\n"));
    in_->close();
    EXPECT_TRUE(sending_->wait_for(kDeadline));
    sending_.reset();
  }
}

// They would be forgotten, and never be sent.
TEST_F(HostileServers, ThatAcknowledgeWhatWasNotSentAreAnError) {
  send_to_it({.id = "me", .call_limit = 1s});
  const detail::Descriptor client = greet();
  EXPECT_TRUE(eventually([&] { return worker_of(*sending_, "out/0").verdict == "idle"; }));
  EXPECT_TRUE(say(client, "ack 1\n"));
  push("one");
  EXPECT_THAT(error_of([&] { sending_->wait_for(kDeadline); }),
              AllOf(HasSubstr("acknowledges 1 frames of me"), HasSubstr("0 were sent")));
}

// As that of a service which has no process just now.
TEST_F(HostileServers, AreAwayWhileTheirNameIsUnknown) {
  Pipeline pipeline{"sending"};
  pipeline.inlet<Bytes>("in").to<TcpSink>("out", {}, "nobody.invalid:7000");
  Engine engine{pipeline, settings()};
  engine.start();
  EXPECT_TRUE(eventually([&] {
    const WorkerStats client = worker_of(engine, "out/0");
    return client.verdict == "waiting outside" && client.outside.find("nobody.invalid") != std::string::npos;
  }));
  engine.stop();
}

class HostilePeers : public Served {};

// One look takes in 256 of them; the others had sent something all the same, which would be lost.
TEST_F(HostilePeers, AreNotSilentWhileTheWorkerStandsStill) {
  constexpr std::size_t kPeers = 600;
  constexpr auto kLimit = 3s;
  serve({.idle_limit = kLimit});
  std::deque<TcpPeer> peers;
  for (std::size_t i = 0; i < kPeers; ++i)
    EXPECT_TRUE(peers.emplace_back(address()).send("one\n"));
  EXPECT_TRUE(shows(kPeers));
  ASSERT_TRUE(engine_->signal_worker("in/0", SIGSTOP));
  for (TcpPeer& peer : peers)
    EXPECT_TRUE(peer.send("two\n"));
  std::this_thread::sleep_for(kLimit + 200ms);
  ASSERT_TRUE(engine_->signal_worker("in/0", SIGCONT));
  EXPECT_TRUE(shows(2 * kPeers)) << out_->count();
  engine_->drain();
}

}  // namespace
}  // namespace sluice::test
