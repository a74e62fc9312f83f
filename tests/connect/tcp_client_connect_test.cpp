// SPDX-License-Identifier: Apache-2.0
// TcpClient: from one pipeline to another each frame once, and what it says when the other side cannot be right.
#include <random>

#include <sluice/connect/tcp_client.hpp>

#include "client_connection.hpp"
#include "cutting_proxy.hpp"
#include "kill_count.hpp"
#include "socket_address.hpp"
#include "tcp_peer.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

// A second pipeline, in the same host, whose inlet "in" sends to the one that is served.
class TcpClients : public Served {
 protected:
  Engine& send_to(const std::string& address, const TcpClientOptions& options = {},
                  const std::vector<std::string>& assignments = {}) {
    Pipeline pipeline{"sending"};
    pipeline.inlet<Bytes>("in").to<Relay>("relay", {.workers = 2}).to<TcpSink>("out", {}, address, options);
    sending_ = std::make_unique<Engine>(pipeline, settings(assignments));
    sending_->start();
    in_.emplace(sending_->inlet<Bytes>("in"));
    return *sending_;
  }
  // Both pipelines start before the host has threads.
  void connect(const TcpServerOptions& server, const TcpClientOptions& client,
               const std::vector<std::string>& assignments = {}) {
    listen(server);
    engine_ = std::make_unique<Engine>(*pipeline_, settings(assignments));
    engine_->start();
    send_to(address(), client, assignments);
    out_ = std::make_unique<Collector<Bytes>>(*engine_, "out");
  }
  void push(std::string_view frame) { EXPECT_EQ(in_->push(Bytes{frame}), PushResult::accepted); }
  // What came, without the senders' ids and the numbers, sorted: two lanes lead into the client.
  std::vector<std::string> frames() {
    EXPECT_TRUE(sending_->wait_for(0s) || (in_->close(), sending_->wait_for(kDeadline)));
    std::vector<std::string> frames;
    std::uint64_t number = 0;
    for (const std::string& shown : drained()) {
      const std::size_t sequence = shown.find(' ') + 1;
      const std::size_t frame = shown.find(' ', sequence) + 1;
      EXPECT_EQ(shown.substr(sequence, frame - sequence - 1), std::to_string(++number));
      frames.push_back(shown.substr(frame));
    }
    return sorted(std::move(frames));
  }

  struct Relay {
    void operator()(const Bytes& bytes, Output<Bytes>& out) const { out.push(bytes); }
  };
  std::unique_ptr<Engine> sending_;
  std::optional<Inlet<Bytes>> in_;
};

TEST_F(TcpClients, SendEachFrameOnceToAServerThatAcknowledges) {
  for (const Framing framing : {Framing::lines, Framing::length_prefixed}) {
    connect({.framing = framing, .acknowledge = true}, {.id = "me", .framing = framing});
    push("one");
    EXPECT_TRUE(shows(1)) << "it goes with its commit, not with the next event";
    push("");
    push("three");
    EXPECT_THAT(frames(), ElementsAre("", "one", "three"));
    out_.reset();
    sending_.reset();
    engine_.reset();
  }
}

TEST_F(TcpClients, AreExactWhicheverWorkerOfBothSidesDies) {
  const unsigned kills_wanted = kills_or(60);
  connect({.acknowledge = true}, {}, {"restart.budget=1000000", "batch.events=32"});
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 numbers{seed};
  std::vector<std::string> sent;
  for (unsigned kills = 0; kills < kills_wanted;) {
    for (auto n = numbers() % 300; n != 0; --n) {
      sent.push_back("frame " + std::to_string(sent.size()));
      push(sent.back());
    }
    // The client's most often.
    const auto which = numbers() % 6;
    const std::string worker = which == 0 ? "relay/1" : which < 3 ? "in/0" : "out/0";
    Engine& engine = which == 1 || which == 2 ? *engine_ : *sending_;
    const std::uint32_t before = worker_of(engine, worker).incarnation;
    if (!engine.signal_worker(worker, SIGKILL)) continue;
    ++kills;
    ASSERT_TRUE(eventually([&] { return worker_of(engine, worker).incarnation != before; }));
  }
  EXPECT_EQ(frames(), sorted(sent));
}

TEST_F(TcpClients, AreExactThroughConnectionsThatAreCutAnywhere) {
  listen({.acknowledge = true});
  engine_ = std::make_unique<Engine>(*pipeline_, settings());
  engine_->start();
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  CuttingProxy proxy{std::stoi(address().substr(address().rfind(':') + 1)), seed, 20'000, 1'000};
  const unsigned cuts = kills_asked(25, kTwentieth);
  proxy.cut(cuts);
  send_to("127.0.0.1:" + std::to_string(proxy.port()), {}, {"batch.events=16"});
  out_ = std::make_unique<Collector<Bytes>>(*engine_, "out");
  std::vector<std::string> sent;
  while (proxy.cuts() < cuts && sent.size() < 1'000'000) {
    sent.push_back("frame " + std::to_string(sent.size()));
    push(sent.back());
  }
  EXPECT_EQ(proxy.cuts(), cuts);
  EXPECT_EQ(frames(), sorted(sent));
  EXPECT_EQ(worker_of(*sending_, "out/0").restarts, 0U);
}

// Says of which start it is, and sends.
class Starting {
 public:
  Starting(Worker& worker, const std::string& log, const std::string& address)
      : client_{worker, address, {.id = "me"}} {
    log_line(log, std::to_string(worker.run()));
    log_line(log, std::to_string(worker.life()));
  }
  void operator()(const Bytes& frame) { client_.send(frame.text()); }

 private:
  TcpClient client_;
};

TEST_F(TcpClients, EndWhereALaterStartOfTheirRunHasTakenOver) {
  listen({.acknowledge = true});
  engine_ = std::make_unique<Engine>(*pipeline_, settings());
  engine_->start();
  Pipeline pipeline{"sending"};
  pipeline.inlet<Bytes>("in").to<Starting>("out", {}, log(), address());
  sending_ = std::make_unique<Engine>(pipeline, settings());
  sending_->start();
  in_.emplace(sending_->inlet<Bytes>("in"));
  out_ = std::make_unique<Collector<Bytes>>(*engine_, "out");
  push("one");
  EXPECT_TRUE(shows(1));
  const std::vector<std::string> start = lines_of(log());
  ASSERT_THAT(start, SizeIs(2));
  const auto hello = [&](std::uint64_t later) {
    return "hello me " + start[0] + "." + std::to_string(std::stoull(start[1]) + later) + "\n";
  };
  // Before it was followed an earlier one is refused.
  TcpPeer before{address()};
  EXPECT_TRUE(before.send("hello me " + start[0] + ".1\n"));
  EXPECT_THAT(before.line(), testing::Optional(HasSubstr("a later start")));
  TcpPeer heir{address()};
  EXPECT_TRUE(heir.send(hello(1)));
  EXPECT_EQ(number_in(heir.line(), "at"), 1U);
  push("two");
  EXPECT_THAT(error_of([&] { sending_->wait_for(kDeadline); }),
              AllOf(HasSubstr("a later start"), HasSubstr("end this")));
  EXPECT_TRUE(heir.send("two of the heir\n"));
  EXPECT_EQ(number_in(heir.line(), "ack"), 2U);
  EXPECT_THAT(drained(), ElementsAre("me 1 one", "me 2 two of the heir"));
}

// Frames of many events are more than the outbox: it is emptied in the midst of one.
TEST_F(TcpClients, SendMoreInABatchThanTheirOutboxHolds) {
  connect({.framing = Framing::length_prefixed, .acknowledge = true, .frame_bytes = 300'000},
          {.framing = Framing::length_prefixed},
          {"batch.events=2048", "undo.bytes=64MiB", "lane.bytes=16MiB"});
  std::vector<std::string> sent;
  for (int i = 0; i < 100; ++i) {
    sent.push_back(std::to_string(i) + std::string(200'000, 'x'));
    push(sent.back());
  }
  EXPECT_EQ(frames(), sorted(sent));
}

TEST_F(TcpClients, WaitOutsideForAServerThatIsAway) {
  listen({.acknowledge = true}, "unix:" + file("socket"));
  listener_.reset();
  pipeline_.reset();
  send_to("unix:" + file("socket"), {}, {"restart.budget=0"});
  push("one");
  EXPECT_TRUE(eventually([&] {
    const WorkerStats client = worker_of(*sending_, "out/0");
    return client.verdict == "waiting outside" && client.outside.find(file("socket")) != std::string::npos;
  }));
  listen({.acknowledge = true}, "unix:" + file("socket"));
  start();
  EXPECT_THAT(frames(), ElementsAre("one"));
}

// A server that takes one frame on each connection, and breaks it.
void serve_one_at_a_time(const std::string& path, unsigned frames) {
  sockaddr_un here{};
  here.sun_family = AF_UNIX;
  path.copy(here.sun_path, sizeof(here.sun_path) - 1);
  const detail::Descriptor listening{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  ASSERT_EQ(::bind(listening.get(), reinterpret_cast<const sockaddr*>(&here), sizeof(here)), 0);
  ASSERT_EQ(::listen(listening.get(), 8), 0);
  for (unsigned has = 0; has < frames;) {
    pollfd called{listening.get(), POLLIN, 0};
    ASSERT_EQ(::poll(&called, 1, 60'000), 1) << "it has given up at frame " << has;
    const detail::Descriptor client{::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    const auto skip_line = [&] {
      char byte = 0;
      while (::recv(client.get(), &byte, 1, 0) == 1)
        if (byte == '\n') return true;
      return false;
    };
    const auto say = [&](const std::string& line) {
      return ::send(client.get(), line.data(), line.size(), MSG_NOSIGNAL) > 0;
    };
    if (!skip_line() || !say("at " + std::to_string(has) + "\n") || !skip_line()) continue;
    ++has;
    say("ack " + std::to_string(has) + "\n");
  }
}

// Its pauses do not grow, and its patience does not run out, as long as each connection brings it further.
TEST_F(TcpClients, AreNotKeptWaitingByAServerThatTakesAFrameOnEachConnection) {
  const std::string path = file("socket");
  send_to("unix:" + path, {.id = "me"}, {"stage.out.outside.patience=4s"});
  for (int frame = 0; frame < 60; ++frame)
    push(std::to_string(frame));
  serve_one_at_a_time(path, 60);
  sending_->stop();
}

TEST_F(TcpClients, PutTheEventsIdInFrontIfThatIsWanted) {
  connect({.acknowledge = true}, {.event_ids = true});
  push("one");
  EXPECT_THAT(frames(), ElementsAre(testing::ContainsRegex("^[0-9a-f]+(\\.[0-9]+){4} one$")));
}

TEST_F(TcpClients, RefuseAFrameThatIsNoLineAndGoOn) {
  connect({.acknowledge = true}, {});
  push("two\nlines");
  push("one");
  EXPECT_THAT(frames(), ElementsAre("one"));
  const std::vector<DeadLetter> letters = find_dead_letters(file("reports"));
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_THAT(letters[0].cause, HasSubstr("line feed"));
}

TEST_F(TcpClients, EndWithTheServersWordWhenAFrameIsTooLargeForIt) {
  connect({.acknowledge = true, .frame_bytes = 100}, {});
  push(std::string(200, 'x'));
  EXPECT_THAT(error_of([&] { sending_->wait_for(kDeadline); }),
              AllOf(HasSubstr(address()), HasSubstr("a frame of more than 100 bytes")));
  EXPECT_THAT(drained(), SizeIs(0));
}

TEST_F(TcpClients, AreTheOnlyOnesOfTheirId) {
  listen({.acknowledge = true});
  engine_ = std::make_unique<Engine>(*pipeline_, settings());
  engine_->start();
  {
    TcpPeer other{address()};
    EXPECT_TRUE(other.send("hello me\nx\n"));
    EXPECT_EQ(number_in(other.line(), "at"), 0U);
    EXPECT_EQ(number_in(other.line(), "ack"), 1U);
  }
  // The frame of the other would hide the first one of this.
  EXPECT_THAT(error_of([&] { send_to(address(), {.id = "me"}); }),
              AllOf(HasSubstr("has 1 frames of me"), HasSubstr("give this one another id")));
  engine_->stop();
}

TEST_F(TcpClients, SayThatAServerHasForgottenWhatItAcknowledged) {
  connect({.acknowledge = true}, {.id = "me"});
  push("one");
  EXPECT_TRUE(shows(1));
  EXPECT_THAT(drained(), SizeIs(1));
  out_.reset();
  engine_.reset();
  // The same socket, and a pipeline that begins anew.
  Engine anew{*pipeline_, settings()};
  push("two");
  anew.start();
  EXPECT_THAT(error_of([&] { sending_->wait_for(kDeadline); }),
              AllOf(HasSubstr("has 0 frames of me"), HasSubstr("it has lost what it had")));
  anew.stop();
}

// As "localhost" has two where IPv6 is: a server may listen at one of them.
TEST_F(TcpClients, TryEachAddressOfAName) {
  const Listener listener{"127.0.0.1:0"};
  const auto at = [&](const std::string& host) {
    return detail::parse_addresses(host + listener.address().substr(listener.address().rfind(':')),
                                   SOCK_STREAM)
        .front();
  };
  const auto connect = [&](const std::vector<detail::SocketAddress>& addresses) {
    const detail::ClientConnection connection{"name:7000", addresses, 10s};
  };
  EXPECT_NO_THROW(connect({at("127.0.0.2"), at("127.0.0.3"), at("127.0.0.1")}));
  EXPECT_THROW(connect({at("127.0.0.2"), at("127.0.0.3")}), Unavailable);
}

// They would be away for ever.
TEST_F(TcpClients, SayWhatIsNoServersAddress) {
  const std::vector<std::string> none{
      "*:7000", "127.0.0.1:00",  "[::1]:0", "239.255.90.21:7000", "[ff02::1%lo]:7000",
      "7000",   "256.0.0.1:7000"};
  for (const std::string& address : none) {
    Pipeline pipeline{"sending"};
    pipeline.inlet<Bytes>("in").to<TcpSink>("out", {}, address);
    Engine engine{pipeline, settings()};
    EXPECT_THAT(error_of([&] { engine.start(); }), HasSubstr("use the address " + address));
  }
}

TEST_F(TcpClients, SayWhatIsNoId) {
  listen({.acknowledge = true});
  Pipeline pipeline{"sending"};
  pipeline.inlet<Bytes>("in").to<TcpSink>("out", {}, address(), TcpClientOptions{.id = "two words"});
  Engine engine{pipeline, settings()};
  EXPECT_THAT(error_of([&] { engine.start(); }), HasSubstr("two words"));
}

TEST_F(TcpClients, SayThatATimeLimitIsNone) {
  listen({.acknowledge = true});
  Pipeline pipeline{"sending"};
  pipeline.inlet<Bytes>("in").to<TcpSink>("out", {}, address(), TcpClientOptions{.call_limit = 0ms});
  Engine engine{pipeline, settings()};
  EXPECT_THAT(error_of([&] { engine.start(); }), HasSubstr("TcpClientOptions::call_limit = 0 ms"));
}

}  // namespace
}  // namespace sluice::test
