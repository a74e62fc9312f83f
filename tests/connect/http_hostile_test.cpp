// SPDX-License-Identifier: Apache-2.0
// HttpSource before clients that break off, hold on, or mean something else than they say.
#include <csignal>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <tuple>

#include "http_world.hpp"

namespace sluice::test {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Optional;
using ::testing::SizeIs;
using ::testing::StartsWith;

using namespace std::chrono_literals;

class HttpStrangers : public Http {
 protected:
  // The bytes and the end of the connection come as one: the library was told of both at once, and looked for the first only.
  static void send_at_last(TcpPeer& peer, std::string_view bytes) {
    const int yes = 1;
    ASSERT_EQ(::setsockopt(peer.fd(), IPPROTO_TCP, TCP_CORK, &yes, sizeof(yes)), 0);
    ASSERT_TRUE(peer.send(bytes));
    peer.say_no_more();
  }
};

TEST_F(HttpStrangers, DoNotKeepTheirPlaceWhenTheyGoInTheMidstOfARequest) {
  serve({.connections = 1, .idle_limit = 600s});
  const std::string whole = post("one\n");
  const std::string chunked =
      "POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nx\n\r\n";
  for (const std::string& part : {whole.substr(0, 20), whole.substr(0, whole.size() - 1), chunked}) {
    TcpPeer gone{address()};
    send_at_last(gone, part);
    EXPECT_EQ(ask(whole), "200 1") << part;
  }
  EXPECT_THAT(drained(), SizeIs(3));
}

TEST_F(HttpStrangers, HearTheEndOfTheirConnectionBehindAnAnswerThatTookNothing) {
  serve({.path = "/events", .body_bytes = 10, .idle_limit = 600s});
  for (const std::string& request : {post("x"), post(std::string(11, 'x'), "/events"),
                                     std::string{"GET /events HTTP/1.1\r\nHost: here\r\n\r\n"}}) {
    TcpPeer peer{address()};
    send_at_last(peer, request);
    EXPECT_THAT(peer.line(), Optional(HasSubstr(" 4")));
    EXPECT_TRUE(peer.is_ended());
  }
  EXPECT_THAT(drained(), IsEmpty());
}

// The library looked at how long it had read nothing before it read what had come by then.
TEST_F(HttpStrangers, AreNotSilentWhileNobodyReadsWhatTheySend) {
  Engine& engine = serve({.idle_limit = 2s});
  const auto is_answered = [&] {
    TcpPeer peer{address()};
    const std::string request = post("one\n");
    EXPECT_TRUE(peer.send(request.substr(0, 20)));
    EXPECT_EQ(ask(post("two\n")), "200 1") << "what came before was read, too";
    EXPECT_TRUE(engine.signal_worker("in/0", SIGSTOP));
    EXPECT_TRUE(eventually([&] { return is_stopped(worker_of(engine, "in/0").pid); }));
    EXPECT_TRUE(peer.send(request.substr(20)));
    // More than the limit passes, as it does where the stages behind take nothing.
    EXPECT_FALSE(peer.line(2500).has_value());
    EXPECT_TRUE(engine.signal_worker("in/0", SIGCONT));
    const auto line = peer.line();
    return line && line->find(" 200 ") != std::string::npos;
  };
  // On a machine that is busy itself the limit may be over before the worker stands still.
  EXPECT_TRUE(is_answered() || is_answered() || is_answered());
  EXPECT_THAT(drained(), Contains(" 1 one"));
}

TEST_F(HttpStrangers, AreTakenAtThePathThatTheyNameAndAtNoOther) {
  serve({.path = "/events"});
  EXPECT_THAT(ask(post("x", "/events%00")), StartsWith("404"));
  EXPECT_THAT(ask(post("x", "/events%00/of/others")), StartsWith("404"));
  EXPECT_THAT(ask(post("x", "//events")), StartsWith("404"));
  EXPECT_THAT(ask(post("x", "/events/../events")), StartsWith("404"));
  EXPECT_THAT(ask(post("x", "http://here/other")), StartsWith("404"));
  EXPECT_THAT(ask(post("x", "http:/events")), StartsWith("404"));
  EXPECT_EQ(ask(post("whole", "http://here:80/events")), "200 1") << "as a proxy asks";
  EXPECT_EQ(ask(post("schemes have no case", "HTTP://here/events")), "200 1");
  EXPECT_EQ(ask(post("escaped", "/%65vents?and=more")), "200 1");
  EXPECT_THAT(drained(), ElementsAre(" 1 whole", " 1 schemes have no case", " 1 escaped"));
}

// RFC 9112, 3.2: what stands in front of the pipeline may have read another request.
TEST_F(HttpStrangers, SayTheirHostOnce) {
  serve();
  const std::string length = "Content-Length: 1\r\n";
  EXPECT_THAT(ask("POST / HTTP/1.1\r\n" + length + "\r\nx"), StartsWith("400 a request has one Host"));
  EXPECT_THAT(ask("POST / HTTP/1.1\r\nHost: a\r\nhost: a\r\n" + length + "\r\nx"),
              StartsWith("400 a request has"));
  EXPECT_THAT(ask("POST / HTTP/1.0\r\nHost: a\r\nHost: b\r\n" + length + "\r\nx"),
              StartsWith("400 a request has"));
  EXPECT_EQ(ask("POST / HTTP/1.0\r\n" + length + "\r\n1"), "200 1") << "its Host need not be said";
  EXPECT_EQ(ask("POST / HTTP/1.1\r\nHost:\r\n" + length + "\r\n2"), "200 1") << "which may be empty";
  EXPECT_THAT(drained(), SizeIs(2));
}

TEST_F(HttpStrangers, OfAnAddressWithoutAPathAskForTheRoot) {
  serve();
  EXPECT_EQ(ask(post("x", "http://here")), "200 1");
  EXPECT_THAT(drained(), SizeIs(1));
}

TEST_F(HttpStrangers, HearAtOnceThatTheyNeedNotSendTheirBody) {
  serve({.path = "/events", .body_bytes = 1000});
  const auto ask_leave = [&](const std::string& path, const std::string& more) {
    TcpPeer peer{address()};
    return ask(peer,
               "POST " + path + " HTTP/1.1\r\nHost: here\r\nExpect: 100-continue\r\n" + more + "\r\n\r\n");
  };
  EXPECT_THAT(ask_leave("/other", "Content-Length: 1000000"), StartsWith("404"));
  EXPECT_THAT(ask_leave("/events", "Content-Length: 1001"), StartsWith("413 a body has 1000 bytes"));
  EXPECT_THAT(ask_leave("/events", "Content-Length: 10\r\nContent-Encoding: gzip"), StartsWith("415"));
  TcpPeer peer{address()};
  EXPECT_TRUE(
      peer.send("POST /events HTTP/1.1\r\nHost: here\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"));
  EXPECT_THAT(peer.line(), Optional(HasSubstr(" 100 ")));
  EXPECT_THAT(peer.line(), Optional(std::string{"\r"}));
  EXPECT_EQ(ask(peer, "one\n"), "200 1");
  EXPECT_THAT(drained(), SizeIs(1));
}

struct ShowPeer {
  void operator()(const Frame& frame, Output<Bytes>& out) const { out.push(frame.head.peer_text()); }
};

TEST_F(HttpStrangers, OfThisMachineAreKnownByTheirProcess) {
  listener_.emplace("unix:" + file("in.sock"));
  pipeline_.emplace("served");
  http_source(*pipeline_, "in", *listener_).to<ShowPeer>("show").outlet("out");
  start();
  EXPECT_EQ(ask(post("x")), "200 1");
  EXPECT_THAT(drained(),
              ElementsAre("pid " + std::to_string(::getpid()) + " uid " + std::to_string(::getuid())));
}

TEST_F(HttpStrangers, ThatWaitSinceAllConnectionsAreInUseAreReported) {
  Engine& engine = serve({.connections = 1});
  TcpPeer only{address()};
  EXPECT_EQ(ask(only, post("first\n")), "200 1");
  EXPECT_EQ(engine.stats().problem_count, 0U);
  TcpPeer waiting{address()};
  EXPECT_TRUE(waiting.send(post("second\n")));
  EXPECT_TRUE(eventually([&] { return engine.stats().problem_count != 0; }));
  EXPECT_THAT(engine.stats().problems, Contains(HasSubstr("the one connection that it may have is in use")));
  only.close();
  EXPECT_THAT(waiting.line(), Optional(HasSubstr(" 200 ")));
  EXPECT_THAT(drained(), SizeIs(2));
}

// As the worker of a TcpServer does.
TEST_F(HttpStrangers, AreServedWithAsManyDescriptorsAsTheWorkerMayHave) {
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit lowered{128, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &lowered), 0);
  serve({.idle_limit = 600s});
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  std::vector<std::unique_ptr<TcpPeer>> peers;
  peers.reserve(200);
  for (int i = 0; i < 200; ++i)
    peers.push_back(std::make_unique<TcpPeer>(address()));
  for (const auto& peer : peers)
    ASSERT_EQ(ask(*peer, post("x\n")), "200 1");
  EXPECT_THAT(drained(), SizeIs(200));
}

TEST_F(HttpStrangers, HaveNoEffectWhereverTheyBreakOff) {
  serve();
  const std::string chunked =
      "POST / HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: "
      "chunked\r\n\r\n3;a=\"b;\"\r\none\r\n4\r\n\ntwo\r\n0\r\nA: b\r\n\r\n";
  for (const std::string& request : {post("one\ntwo"), chunked}) {
    for (std::size_t cut = 1; cut < request.size(); ++cut) {
      TcpPeer reset{address()};
      EXPECT_TRUE(reset.send(request.substr(0, cut)));
      reset.reset();
      TcpPeer in_two{address()};
      EXPECT_TRUE(in_two.send(request.substr(0, cut)));
      ASSERT_EQ(ask(in_two, request.substr(cut)), "200 2") << cut;
    }
  }
  EXPECT_THAT(drained(), SizeIs(2 * (post("one\ntwo").size() - 1 + chunked.size() - 1)));
}

TEST_F(HttpStrangers, WhoSpeakSomethingElseAreToldSoOrGo) {
  serve();
  const std::string head = "POST / HTTP/1.1\r\nHost: here\r\n";
  const std::string chunks = head + "Transfer-Encoding: chunked\r\n\r\n";
  for (const std::string& request :
       {chunks + "3\r\nabcd\r\n0\r\n\r\n", chunks + "-3\r\nabc\r\n0\r\n\r\n",
        chunks + "0x3\r\nabc\r\n0\r\n\r\n", chunks + "10000000000000003\r\nabc\r\n0\r\n\r\n",
        chunks + "\r\nabc\r\n0\r\n\r\n", head + "Content-Length: 3, 3\r\n\r\nabc",
        head + "Content-Length: +3\r\n\r\nabc", head + "Content-Length: 3x\r\n\r\nabc",
        head + "Content-Length: 99999999999999999999\r\n\r\nabc",
        head + "Content-Length: 18446744073709551615\r\n\r\nabc",
        head + "No colon\r\nContent-Length: 3\r\n\r\nabc",
        head + "X: " + std::string(100'000, 'x') + "\r\nContent-Length: 3\r\n\r\nabc",
        "POST /" + std::string(100'000, 'x') + " HTTP/1.1\r\nHost: here\r\nContent-Length: 3\r\n\r\nabc",
        std::string{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"},
        std::string{"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\n", 12}}) {
    TcpPeer peer{address()};
    // It may be answered, and closed, before all of it is sent.
    std::ignore = peer.send(request);
    peer.say_no_more();
    const auto line = peer.line();
    EXPECT_TRUE(!line || line->find(" 200 ") == std::string::npos) << request.substr(0, 120);
    EXPECT_TRUE(peer.is_ended()) << request.substr(0, 120);
  }
  EXPECT_EQ(ask(post("still there")), "200 1");
  EXPECT_THAT(drained(), SizeIs(1));
}

TEST_F(HttpStrangers, AskOnceAndAgainWithoutWaiting) {
  serve();
  TcpPeer peer{address()};
  std::string requests;
  for (int i = 0; i < 100; ++i)
    requests += post("one\ntwo\n") + post("x", "/other") + "GET / HTTP/1.1\r\nHost: here\r\n\r\n";
  EXPECT_TRUE(peer.send(requests));
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(ask(peer, ""), "200 2") << i;
    ASSERT_THAT(ask(peer, ""), StartsWith("404")) << i;
    ASSERT_THAT(ask(peer, ""), StartsWith("405")) << i;
  }
  EXPECT_THAT(drained(), SizeIs(200));
}

TEST_F(HttpStrangers, AreNotServedByWhatNobodyCanAsk) {
  EXPECT_THAT(error_of([&] { serve({.path = "events"}); }), HasSubstr("a path begins with /"));
  EXPECT_THAT(error_of([&] { serve({.idle_limit = -1s}); }), HasSubstr("idle_limit"));
}

}  // namespace
}  // namespace sluice::test
