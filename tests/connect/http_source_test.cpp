// SPDX-License-Identifier: Apache-2.0
// HttpSource: what is answered with 200 is in the pipeline, whole; whatever else is answered had no effect.
#include <map>
#include <random>

#include "http_world.hpp"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

TEST_F(Http, AnswersOnceTheEventsOfARequestAreCommitted) {
  serve({.path = "/events"});
  TcpPeer peer{address()};
  EXPECT_EQ(ask(peer, post("one\ntwo\n\nthree", "/events")), "200 3");
  EXPECT_TRUE(shows(3));
  EXPECT_EQ(ask(peer, post("four\n", "/events")), "200 1") << "the connection stays";
  EXPECT_EQ(ask(peer, post("", "/events")), "200 0");
  EXPECT_THAT(drained(), ElementsAre(" 1 one", " 2 two", " 3 three", " 1 four"));
}

TEST_F(Http, AnswersOnceACheckpointHoldsTheEventsWhereThatIsAsked) {
  listener_.emplace("127.0.0.1:0");
  pipeline_.emplace("served");
  http_source(*pipeline_, "in", *listener_).to<ShowFrame>("show").outlet("out");
  Engine engine{*pipeline_, after_checkpoints()};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  TcpPeer peer{address()};
  EXPECT_EQ(ask(peer, post("one\n")), "200 1");
  forbid_checkpoints(engine);
  EXPECT_TRUE(peer.send(post("two\n")));
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "in/0").events_out == 2; }));
  EXPECT_TRUE(checkpoint_fails(engine) && checkpoint_fails(engine));
  EXPECT_EQ(peer.line(0), std::nullopt);
  allow_checkpoints();
  EXPECT_THAT(peer.line(), testing::Optional(HasSubstr(" 200 ")));
  TcpPeer last{address()};
  EXPECT_TRUE(last.send(post("three\n")));
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "in/0").events_out == 3; }));
  engine.drain();
  EXPECT_THAT(last.line(), testing::Optional(HasSubstr(" 200 "))) << "also at the end";
  EXPECT_THAT(out.all(), SizeIs(3));
}

TEST_F(Http, TakesAWholeBodyAsAnEventIfThatIsWanted) {
  serve({.lines = false});
  EXPECT_EQ(ask(post("one\ntwo\n")), "200 1");
  EXPECT_THAT(drained(), ElementsAre(" 1 one\ntwo\n"));
}

TEST_F(Http, SaysWhyItTakesNothing) {
  Engine& engine = serve({.path = "/events", .body_bytes = 50'000}, {"lane.bytes=64KiB"});
  EXPECT_THAT(ask("GET /events HTTP/1.1\r\nHost: here\r\n\r\n"), StartsWith("405 "));
  EXPECT_THAT(ask(post("x")), StartsWith("404 events are taken at /events"));
  EXPECT_THAT(ask(post(std::string(100'000, 'x'), "/events")), StartsWith("413 a body has 50000 bytes"));
  std::string many;
  for (int i = 0; i < 10'000; ++i)
    many += "x\n";
  EXPECT_THAT(ask(post(many, "/events")), StartsWith("413 10000 events are more than a lane"));
  EXPECT_THAT(
      ask("POST /events HTTP/1.1\r\nHost: here\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nx\n"),
      StartsWith("415 a body is taken as it is"));
  EXPECT_THAT(
      ask("POST /events HTTP/1.1\r\nHost: here\r\nContent-Encoding: identity\r\nContent-Encoding: gzip\r\n"
          "Content-Length: 2\r\n\r\nx\n"),
      StartsWith("415 "));
  TcpPeer rubbish{address()};
  EXPECT_TRUE(rubbish.send("\xff\xfe rubbish\r\n\r\n"));
  EXPECT_TRUE(rubbish.is_ended());
  {
    const TcpPeer half{address()};
    EXPECT_TRUE(half.send(post("half of it\n", "/events").substr(0, 62)));
  }
  EXPECT_EQ(ask(post("still there", "/events")), "200 1");
  EXPECT_THAT(drained(), ElementsAre(" 1 still there"));
  EXPECT_EQ(worker_of(engine, "in/0").restarts, 0U);
}

// As `nc -N` and some proxies do: the library gave up those whose end it read before it had asked for their answer.
TEST_F(Http, AnswersAClientThatSaysNoMoreBesideOthersThatAreInTheMidstOfARequest) {
  serve();
  const std::string request = post("one\n");
  const TcpPeer unfinished{address()};
  EXPECT_TRUE(unfinished.send(request.substr(0, request.size() - 2)));
  const TcpPeer given_up{address()};
  EXPECT_TRUE(given_up.send(request.substr(0, request.size() - 2)));
  given_up.say_no_more();
  for (int i = 0; i < 20; ++i) {
    TcpPeer peer{address()};
    ASSERT_TRUE(peer.send(request));
    peer.say_no_more();
    ASSERT_THAT(peer.line(), testing::Optional(HasSubstr(" 200 "))) << i;
  }
  EXPECT_THAT(drained(), SizeIs(20));
}

TEST_F(Http, RefusesABodyThatIsFramedInTwoWays) {
  serve();
  const std::string head = "POST / HTTP/1.1\r\nHost: here\r\n";
  const std::string reason = "400 a body has one Content-Length, or Transfer-Encoding";
  EXPECT_THAT(ask(head + "Content-Length: 3\r\nContent-Length: 5\r\n\r\na\nb\nc"), StartsWith(reason));
  EXPECT_THAT(ask(head + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n5\r\na\nb\nc\r\n0\r\n\r\n"),
              StartsWith(reason));
  EXPECT_EQ(ask(head + "Content-Length: 2\r\nContent-Length: 2\r\n\r\na\n"), "200 1");
  EXPECT_THAT(drained(), SizeIs(1));
}

// The library would take none of it, or all that comes until the client goes, for its events.
TEST_F(Http, RefusesABodyWhoseEndIsNotSaid) {
  serve();
  const std::string head = "POST / HTTP/1.1\r\nHost: here\r\n";
  EXPECT_THAT(ask(head + "\r\na\nb\n"), StartsWith("411 a body has a Content-Length"));
  EXPECT_THAT(ask("POST / HTTP/1.0\r\n\r\na\n"), StartsWith("411"));
  EXPECT_THAT(ask(head + "Content-Length : 2\r\n\r\na\n"), StartsWith("411"));
  EXPECT_THAT(ask("GET /other HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: gzip\r\n\r\n"), StartsWith("501"));
  for (const char* other : {"gzip, chunked", "identity", "identity\r\nContent-Length: 2", "xchunked",
                            "chunked\r\nTransfer-Encoding: chunked"}) {
    EXPECT_THAT(ask(head + "Transfer-Encoding: " + other + "\r\n\r\n2\r\na\n\r\n0\r\n\r\n"),
                StartsWith("501 of Transfer-Encoding only chunked"))
        << other;
  }
  EXPECT_EQ(ask(head + "Transfer-Encoding: Chunked\r\n\r\n2\r\na\n\r\n0\r\n\r\n"), "200 1");
  EXPECT_THAT(drained(), SizeIs(1));
}

TEST_F(Http, ServesManyAtATimeAndRefusesConnectionsWhenItHasEnded) {
  serve();
  std::vector<std::unique_ptr<TcpPeer>> peers;
  for (int i = 0; i < 100; ++i) {
    peers.push_back(std::make_unique<TcpPeer>(address()));
    EXPECT_TRUE(peers.back()->send("POST / HTTP/1.1\r\nHost: here\r\n"));
  }
  for (const auto& peer : peers)
    EXPECT_EQ(ask(*peer, "Content-Length: 2\r\n\r\nx\n"), "200 1");
  EXPECT_THAT(drained(), SizeIs(100));
  EXPECT_FALSE(TcpPeer{address()}.connected());
}

TEST_F(Http, TakesThoseThatWaitOnceOneOfAsManyConnectionsAsThereMayBeIsClosed) {
  serve({.connections = 1});
  for (int round = 0; round < 3; ++round) {
    TcpPeer only{address()};
    EXPECT_EQ(ask(only, post("first\n")), "200 1");
    TcpPeer waiting{address()};
    EXPECT_TRUE(waiting.send(post("second\n")));
    only.close();
    EXPECT_THAT(waiting.line(), testing::Optional(HasSubstr(" 200 ")));
  }
  EXPECT_THAT(drained(), SizeIs(6));
}

std::string lines_of_request(const std::string& id) {
  std::string lines;
  for (const char* part : {" a\n", " b\n", " c\n"})
    lines.append(id).append(part);
  return lines;
}

// Each client sends requests of three lines, one after the other, and each again until it is answered.
TEST_F(Http, LosesNoRequestThatItHasAnsweredAndTakesNoneInPartThroughKills) {
  const unsigned kills = kills_or(40);
  serve({}, {"restart.budget=1000000"});
  std::atomic<bool> over{false};
  std::atomic<std::uint64_t> progress{0};
  std::vector<std::uint64_t> answered(8);
  std::vector<std::thread> clients;
  clients.reserve(answered.size());
  for (std::size_t i = 0; i < answered.size(); ++i) {
    clients.emplace_back([&, i] {
      while (!over.load()) {
        const std::string id = std::to_string(i) + ":" + std::to_string(answered[i]);
        TcpPeer peer{address()};
        if (ask(peer, post(lines_of_request(id))) != "200 3") continue;
        ++answered[i];
        ++progress;
      }
    });
  }
  std::mt19937 numbers{std::random_device{}()};
  for (unsigned done = 0; done < kills; ++done) {
    const std::uint64_t until = progress + numbers() % 60;
    ASSERT_TRUE(eventually([&] { return progress >= until; }));
    kill_server();
  }
  over = true;
  for (std::thread& client : clients)
    client.join();
  std::map<std::string, std::string> parts;
  for (const std::string& shown : drained()) {
    const std::size_t id = shown.find(' ', 1) + 1;
    parts[shown.substr(id, shown.find(' ', id) - id)] += shown.back();
  }
  for (const auto& [id, all] : parts)
    EXPECT_EQ(all.size() % 3, 0U) << id << " was taken in part: " << all;
  for (std::size_t i = 0; i < answered.size(); ++i) {
    for (std::uint64_t n = 0; n < answered[i]; ++n)
      EXPECT_EQ(parts.count(std::to_string(i) + ":" + std::to_string(n)), 1U);
  }
}

TEST_F(Http, IsRefusedBeforeAStageThatDropsWhatItHasAnswered) {
  EXPECT_THAT(error_of([&] { serve({.path = "/events"}, {"stage.show.lane.full=drop_newest"}); }),
              HasSubstr("HttpSource tells senders that it has what it hands on"));
}

}  // namespace
}  // namespace sluice::test
