// SPDX-License-Identifier: Apache-2.0
// TcpServer without acknowledgements: what is a frame, and what one connection can do to the others: nothing.
#include <random>
#include <sys/resource.h>
#include <sys/stat.h>

#include "tcp_peer.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;
using ::testing::SizeIs;
using ::testing::StartsWith;

class TcpServers : public Served {};

TEST_F(TcpServers, HandOnEachLineOfAConnectionInOrderAndNotWhatHasNoEnd) {
  serve({});
  {
    const TcpPeer peer{address()};
    EXPECT_TRUE(peer.send("one\ntw"));
    EXPECT_TRUE(shows(1)) << "what is there goes at once";
    EXPECT_TRUE(peer.send("o\r\n\nunfinished"));
    EXPECT_TRUE(shows(3));
  }
  EXPECT_THAT(drained(), ElementsAre(" 1 one", " 2 two\r", " 3 "));
}

TEST_F(TcpServers, TakeAnyBytesBehindALength) {
  serve({.framing = Framing::length_prefixed});
  const std::string binary{"\n\0\xff", 3};
  const TcpPeer peer{address()};
  for (const char byte : prefixed(binary))
    EXPECT_TRUE(peer.send({&byte, 1}));
  EXPECT_TRUE(peer.send(prefixed("") + prefixed("last")));
  EXPECT_TRUE(shows(3));
  EXPECT_THAT(drained(), ElementsAre(" 1 " + binary, " 2 ", " 3 last"));
}

struct ShowPeer {
  void operator()(const Frame& frame, Output<Bytes>& out) const {
    out.push(std::to_string(frame.head.connection) + " " + std::string{frame.head.peer_text()});
  }
};

TEST_F(TcpServers, SayWhoseAFrameIs) {
  for (const std::string& at : {std::string{"127.0.0.1:0"}, std::string{"*:0"}, "unix:" + file("socket")}) {
    Pipeline pipeline{"peers"};
    Listener listener{at};
    tcp_source(pipeline, "in", listener).to<ShowPeer>("show").outlet("out");
    Engine engine{pipeline, settings()};
    engine.start();
    Collector<Bytes> out{engine, "out"};
    const bool is_unix = at.starts_with("unix:");
    const std::string there =
        is_unix ? listener.address() : "127.0.0.1" + listener.address().substr(listener.address().rfind(':'));
    const TcpPeer first{there};
    const TcpPeer second{there};
    ASSERT_TRUE(first.connected() && second.connected()) << at;
    EXPECT_TRUE(first.send("x\n"));
    EXPECT_TRUE(eventually([&] { return out.count() == 1; }));
    EXPECT_TRUE(second.send("x\n"));
    EXPECT_TRUE(eventually([&] { return out.count() == 2; }));
    engine.drain();
    const auto shown = out.all();
    ASSERT_THAT(shown, SizeIs(2));
    EXPECT_NE(shown[0].substr(0, shown[0].find(' ')), shown[1].substr(0, shown[1].find(' ')));
    if (is_unix) {
      EXPECT_THAT(shown[0],
                  HasSubstr("pid " + std::to_string(::getpid()) + " uid " + std::to_string(::getuid())));
    } else {
      sockaddr_in own{};
      socklen_t length = sizeof(own);
      ASSERT_EQ(::getsockname(first.fd(), reinterpret_cast<sockaddr*>(&own), &length), 0);
      EXPECT_THAT(shown[0], HasSubstr(" 127.0.0.1:" + std::to_string(ntohs(own.sin_port))));
    }
  }
  EXPECT_FALSE(std::filesystem::exists(file("socket"))) << "the file goes with the listener";
}

TEST_F(TcpServers, EndAConnectionThatSendsTooMuchWithAWordAndAReportAndNoOther) {
  Engine& engine = serve({.frame_bytes = 1000});
  const TcpPeer good{address()};
  EXPECT_TRUE(good.send("before\n"));
  EXPECT_TRUE(shows(1));
  TcpPeer bad{address()};
  EXPECT_TRUE(bad.send("fits\n"));
  std::ignore = bad.send(std::string(1'000'000, 'x'));
  EXPECT_THAT(bad.line(), Optional(HasSubstr("error a frame of more than 1000 bytes")));
  EXPECT_TRUE(bad.is_ended());
  EXPECT_TRUE(good.send("after\n"));
  EXPECT_TRUE(shows(3));
  EXPECT_THAT(drained(), ElementsAre(" 1 before", " 1 fits", " 2 after"));
  EXPECT_THAT(engine.stats().problems, SizeIs(1));
  EXPECT_EQ(worker_of(engine, "in/0").restarts, 0U);
}

TEST_F(TcpServers, SayAtTheStartThatALaneIsTooSmallForTheFramesTheyTake) {
  listen({.frame_bytes = 1U << 20});
  Engine engine{*pipeline_, settings({"lane.bytes=64KiB"})};
  // Whichever of the two comes first.
  const auto run = [&] {
    engine.start();
    engine.wait_for(kDeadline);
  };
  EXPECT_THAT(error_of(run), AllOf(HasSubstr("stage in"), HasSubstr("frame_bytes")));
}

// Peers that nobody wants, each in a thread: one floods, some send what never ends, some come and go, some leave half a
// frame behind.
class Rabble {
 public:
  explicit Rabble(const std::string& address) : flood_{address} {
    for (int i = 0; i < 1000; ++i)
      lines_ += "flood\n";
    add([this] { std::ignore = flood_.send(lines_); });
    add([address] {
      const TcpPeer endless{address};
      std::ignore = endless.send(std::string(100'000, '\xfe'));
    });
    add([address] {
      TcpPeer hasty{address};
      hasty.reset();
    });
    add([address] {
      const TcpPeer half{address};
      std::ignore = half.send("half a fra");
    });
  }
  ~Rabble() {
    over_ = true;
    ::shutdown(flood_.fd(), SHUT_RDWR);  // It may be in the midst of a line that is taken slowly.
    for (std::thread& thread : threads_)
      thread.join();
  }

 private:
  template <class Work>
  void add(Work work) {
    threads_.emplace_back([this, work] {
      while (!over_.load())
        work();
    });
  }

  std::atomic<bool> over_{false};
  TcpPeer flood_;
  std::string lines_;
  std::vector<std::thread> threads_;
};

TEST_F(TcpServers, HearEveryConnectionWhateverTheOthersDo) {
  serve({.frame_bytes = 4096, .connections = 2000});
  {
    const Rabble rabble{address()};
    std::vector<std::unique_ptr<TcpPeer>> silent;
    silent.reserve(300);
    for (int i = 0; i < 300; ++i)
      silent.push_back(std::make_unique<TcpPeer>(address()));
    // Each of ten, a line at a time.
    std::vector<std::unique_ptr<TcpPeer>> good;
    good.reserve(10);
    for (int i = 0; i < 10; ++i)
      good.push_back(std::make_unique<TcpPeer>(address()));
    for (int line = 0; line < 20; ++line) {
      for (const auto& peer : good)
        EXPECT_TRUE(peer->send("good " + std::to_string(line) + "\n"));
      std::this_thread::sleep_for(5ms);
    }
    for (const auto& peer : good)
      peer->say_no_more();
    // Closed by the server, so that all of it was read.
    for (const auto& peer : good)
      EXPECT_TRUE(peer->is_ended());
  }
  std::map<std::string, int> heard;
  for (const std::string& text : drained()) {
    if (text.find("good ") != std::string::npos) ++heard[text];
  }
  EXPECT_THAT(heard, SizeIs(20));
  for (int line = 0; line < 20; ++line)
    EXPECT_EQ(heard[" " + std::to_string(line + 1) + " good " + std::to_string(line)], 10) << line;
  EXPECT_EQ(worker_of(*engine_, "in/0").restarts, 0U);
}

TEST_F(TcpServers, TurnAwayWhoIsOneTooManyAndTakeTheNextWhenOneHasGone) {
  Engine& engine = serve({.connections = 3});
  std::vector<std::unique_ptr<TcpPeer>> peers;
  for (int i = 0; i < 3; ++i) {
    peers.push_back(std::make_unique<TcpPeer>(address()));
    EXPECT_TRUE(peers.back()->send("x\n"));
  }
  EXPECT_TRUE(shows(3));
  TcpPeer fourth{address()};
  EXPECT_THAT(fourth.line(), Optional(StartsWith("error too many connections")));
  EXPECT_TRUE(fourth.is_ended());
  peers.pop_back();
  EXPECT_TRUE(eventually([&] {
    const TcpPeer next{address()};
    std::ignore = next.send("next\n");
    return out_->count() > 3;
  }));
  EXPECT_TRUE(peers[0]->send("y\n"));
  peers[0]->say_no_more();
  EXPECT_TRUE(peers[0]->is_ended()) << "it was read to its end";
  EXPECT_THAT(drained(), Contains(" 2 y"));
  EXPECT_THAT(engine.stats().problems, Contains(HasSubstr("turned away")));
}

TEST_F(TcpServers, WithoutDescriptorsTurnAwayTheNextAndServeThoseTheyHave) {
  listen({.connections = 5000});
  // In a child, since a hard limit cannot be raised again.
  const pid_t host = ::fork();
  if (host == 0) {
    const rlimit lowered{160, 160};
    if (::setrlimit(RLIMIT_NOFILE, &lowered) != 0) ::_exit(2);
    Engine engine{*pipeline_, settings()};
    engine.start();
    auto out = engine.outlet<Bytes>("out");
    std::ofstream{file("serving")} << "yes";
    while (!std::filesystem::exists(file("enough"))) {
      out.wait(10ms);
      out.poll([this](const Bytes& shown) { log_line(log(), std::string{shown.text()}); });
    }
    ::_exit(worker_of(engine, "in/0").restarts == 0 ? 0 : 1);
  }
  ASSERT_TRUE(eventually([&] { return std::filesystem::exists(file("serving")); }));
  std::vector<std::unique_ptr<TcpPeer>> peers;
  peers.reserve(300);
  for (int i = 0; i < 300; ++i)
    peers.push_back(std::make_unique<TcpPeer>(address()));
  EXPECT_TRUE(peers.front()->send("first\n"));
  EXPECT_THAT(peers.back()->line(), Optional(StartsWith("error too many connections")));
  EXPECT_TRUE(eventually([&] { return lines_of(log()).size() == 1; }));
  std::ofstream{file("enough")} << "yes";
  int status = -1;
  ASSERT_EQ(::waitpid(host, &status, 0), host);
  EXPECT_EQ(status, 0);
}

TEST_F(TcpServers, ServeThousandsOfConnectionsAtATime) {
  serve({});
  constexpr std::size_t kPeers = 3000;
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4096);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  std::vector<std::unique_ptr<TcpPeer>> peers;
  for (std::size_t i = 0; i < kPeers; ++i) {
    peers.push_back(std::make_unique<TcpPeer>(address()));
    ASSERT_TRUE(peers.back()->connected()) << i << ": " << errno_text();
  }
  for (int round = 0; round < 3; ++round) {
    for (const auto& peer : peers)
      EXPECT_TRUE(peer->send("hello\n"));
  }
  EXPECT_TRUE(shows(3 * kPeers));
  std::map<std::string, std::size_t> heard;
  for (const std::string& text : drained())
    ++heard[text];
  EXPECT_THAT(heard, ElementsAre(std::pair{" 1 hello", kPeers}, std::pair{" 2 hello", kPeers},
                                 std::pair{" 3 hello", kPeers}));
}

TEST_F(TcpServers, ShareAListenerAmongSeveralWorkers) {
  Pipeline pipeline{"shared"};
  Listener listener{"127.0.0.1:0"};
  tcp_source(pipeline, "in", listener, {}, {.workers = 2}).to<ShowFrame>("show").outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  for (int i = 0; i < 200; ++i) {
    const TcpPeer peer{listener.address()};
    EXPECT_TRUE(peer.send("x\n"));
  }
  EXPECT_TRUE(eventually([&] { return out.count() == 200; }));
  engine.drain();
  EXPECT_EQ(worker_of(engine, "in/0").restarts + worker_of(engine, "in/1").restarts, 0U);
}

TEST_F(TcpServers, CloseWhoIsSilentForTooLong) {
  serve({.idle_limit = 3s});
  TcpPeer silent{address()};
  TcpPeer busy{address()};
  for (int i = 0; i < 24; ++i) {
    EXPECT_TRUE(busy.send("x\n"));
    std::this_thread::sleep_for(150ms);
  }
  EXPECT_THAT(silent.line(), Optional(StartsWith("error nothing came")));
  EXPECT_TRUE(silent.is_ended());
  EXPECT_THAT(drained(), SizeIs(24));
}

TEST_F(TcpServers, AndTheirListenersAreSoonThereForTheNextHost) {
  Listener listener{"127.0.0.1:0"};
  const std::string address = listener.address();
  EXPECT_THAT(error_of([&] { Listener second(address, {.patience = 50ms}); }),
              AllOf(HasSubstr(address), HasSubstr("in use")));
  std::thread other{[&] {
    std::this_thread::sleep_for(100ms);
    const Listener gone = std::exchange(listener, Listener{"127.0.0.1:0"});
  }};
  const Listener next{address};
  EXPECT_EQ(next.address(), address);
  other.join();
}

TEST_F(TcpServers, ReplaceTheSocketFileOfAHostThatWasKilledAndNoOtherFile) {
  const std::string path = file("socket");
  const pid_t host = ::fork();
  if (host == 0) {
    const Listener listener{"unix:" + path};
    ::raise(SIGKILL);
  }
  ASSERT_EQ(::waitpid(host, nullptr, 0), host);
  ASSERT_TRUE(std::filesystem::exists(path));
  {
    const Listener next{"unix:" + path};
    EXPECT_TRUE(TcpPeer{next.address()}.connected());
    EXPECT_THAT(error_of([&] { Listener second("unix:" + path, {.patience = 50ms}); }), HasSubstr("in use"));
  }
  std::ofstream{path} << "a file";
  EXPECT_THAT(error_of([&] { Listener third("unix:" + path, {.patience = std::chrono::hours{1}}); }),
              AllOf(HasSubstr(path), HasSubstr("it is no socket")));
  EXPECT_THAT(lines_of(path), ElementsAre("a file"));
}

TEST_F(TcpServers, SayWhatIsNoAddress) {
  for (const char* none : {"", "7000", ":7000", "host:", "host:70000", "host:7a", "::1:7000",
                           "unix:", "unix:@", "nowhere.invalid:7000"}) {
    try {
      const Listener listener{none};
      ADD_FAILURE() << none << " is taken for " << listener.address();
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr(none));
    } catch (const Unavailable&) {  // The resolver of this machine does not answer.
    }
  }
  EXPECT_THAT(error_of([] { Listener long_path("unix:/" + std::string(200, 'x')); }), HasSubstr("107 bytes"));
}

}  // namespace
}  // namespace sluice::test
