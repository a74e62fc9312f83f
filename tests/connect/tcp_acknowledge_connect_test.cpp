// SPDX-License-Identifier: Apache-2.0
// TcpServer with acknowledgements, spoken by hand: docs/guide/tcp.md.
#include "tcp_peer.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Optional;
using ::testing::SizeIs;
using ::testing::StartsWith;

class Acknowledge : public Served {
 protected:
  // The last acknowledged count, once it is `count`.
  static bool acknowledged(TcpPeer& peer, std::uint64_t count) {
    while (const auto told = number_in(peer.line(), "ack")) {
      if (*told == count) return true;
    }
    return false;
  }
};

TEST_F(Acknowledge, TellsASenderWhereItIsAndWhatIsCommitted) {
  serve({.acknowledge = true});
  {
    TcpPeer peer{address()};
    EXPECT_TRUE(peer.send("hello till-1\r\n"));
    EXPECT_THAT(peer.line(), Optional(std::string{"at 0"}));
    EXPECT_TRUE(peer.send("one\n"));
    EXPECT_THAT(peer.line(), Optional(std::string{"ack 1"})) << "without a second frame";
    EXPECT_TRUE(peer.send("two\nthree\n"));
    EXPECT_TRUE(acknowledged(peer, 3));
  }
  TcpPeer again{address()};
  EXPECT_TRUE(again.send("hello till-1\n"));
  EXPECT_THAT(again.line(), Optional(std::string{"at 3"}));
  EXPECT_TRUE(again.send("four\n"));
  EXPECT_TRUE(acknowledged(again, 4));
  EXPECT_THAT(drained(), ElementsAre("till-1 1 one", "till-1 2 two", "till-1 3 three", "till-1 4 four"));
  EXPECT_THAT(again.line(), Optional(StartsWith("bye")));
  EXPECT_TRUE(again.is_ended());
}

TEST_F(Acknowledge, IsRefusedBeforeAStageThatDropsWhatIsTooMuch) {
  listen({.acknowledge = true});
  EXPECT_THAT(error_of([&] { start({"stage.show.lane.full=drop_newest"}); }),
              AllOf(HasSubstr("TcpServer with `acknowledge`"), HasSubstr("lane.full=block")));
  listen({});
  EXPECT_EQ(error_of([&] { start({"stage.show.lane.full=drop_newest"}); }), "");
  EXPECT_THAT(drained(), SizeIs(0));
}

TEST_F(Acknowledge, OfASenderThatSendsNoMoreComesBeforeTheEndOfItsConnection) {
  serve({.acknowledge = true});
  TcpPeer peer{address()};
  std::string all = "hello me\n";
  for (int i = 0; i < 1000; ++i)
    all += std::to_string(i) + "\n";
  EXPECT_TRUE(peer.send(all + "no frame"));
  peer.say_no_more();
  EXPECT_THAT(peer.line(), Optional(std::string{"at 0"}));
  EXPECT_TRUE(acknowledged(peer, 1000));
  EXPECT_TRUE(peer.is_ended());
  EXPECT_THAT(drained(), SizeIs(1000));
}

TEST_F(Acknowledge, GreetsInALineAlsoWhereFramesAreNone) {
  serve({.framing = Framing::length_prefixed, .acknowledge = true});
  TcpPeer peer{address()};
  EXPECT_TRUE(peer.send("hello me\n" + prefixed("one\n") + prefixed("")));
  EXPECT_THAT(peer.line(), Optional(std::string{"at 0"}));
  EXPECT_TRUE(acknowledged(peer, 2));
  EXPECT_THAT(drained(), ElementsAre("me 1 one\n", "me 2 "));
}

TEST_F(Acknowledge, SurvivesTheWorker) {
  serve({.acknowledge = true});
  for (std::uint64_t count = 0; count < 5; ++count) {
    TcpPeer peer{address()};
    EXPECT_TRUE(peer.send("hello me\n"));
    EXPECT_EQ(number_in(peer.line(), "at"), count);
    EXPECT_TRUE(peer.send(std::to_string(count) + "\n"));
    EXPECT_TRUE(acknowledged(peer, count + 1));
    kill_server();
    EXPECT_TRUE(peer.is_ended()) << "the sender sees it";
  }
  EXPECT_THAT(drained(), ElementsAre("me 1 0", "me 2 1", "me 3 2", "me 4 3", "me 5 4"));
}

TEST_F(Acknowledge, GoesToTheNewerOfTwoConnectionsOfOneSender) {
  serve({.acknowledge = true});
  TcpPeer older{address()};
  EXPECT_TRUE(older.send("hello me\none\n"));
  EXPECT_EQ(number_in(older.line(), "at"), 0U);
  EXPECT_TRUE(acknowledged(older, 1));
  TcpPeer other{address()};
  EXPECT_TRUE(other.send("hello other\n"));
  EXPECT_EQ(number_in(other.line(), "at"), 0U);
  TcpPeer newer{address()};
  EXPECT_TRUE(newer.send("hello me\n"));
  EXPECT_EQ(number_in(newer.line(), "at"), 1U);
  EXPECT_THAT(older.line(), Optional(HasSubstr("bye another connection")));
  std::ignore = older.send("not heard\n");
  EXPECT_TRUE(older.is_ended());
  EXPECT_TRUE(newer.send("two\n"));
  EXPECT_TRUE(acknowledged(newer, 2));
  EXPECT_TRUE(other.send("one\n"));
  EXPECT_TRUE(acknowledged(other, 1));
  EXPECT_THAT(drained(), ElementsAre("me 1 one", "me 2 two", "other 1 one"));
}

// A start from a checkpoint elsewhere, while the first host lives: whoever of the two connects again last would be served.
TEST_F(Acknowledge, GoesToTheLaterLifeOfARunForGood) {
  serve({.acknowledge = true});
  TcpPeer first{address()};
  EXPECT_TRUE(first.send("hello me 5.10\none\n"));
  EXPECT_EQ(number_in(first.line(), "at"), 0U);
  EXPECT_TRUE(acknowledged(first, 1));
  {
    TcpPeer heir{address()};
    EXPECT_TRUE(heir.send("hello me 5.11\n"));
    EXPECT_EQ(number_in(heir.line(), "at"), 1U);
  }
  EXPECT_THAT(first.line(), Optional(HasSubstr("bye another connection")));
  // The heir has sent nothing yet, and its hello is kept all the same.
  for (int turn = 0; turn < 2; ++turn) {
    TcpPeer again{address()};
    EXPECT_TRUE(again.send("hello me 5.10\n"));
    EXPECT_THAT(again.line(), Optional(StartsWith("error a later start")));
    EXPECT_TRUE(again.is_ended());
    kill_server();
  }
  // Of another run: lives are not compared, and a person says none.
  for (const char* hello : {"hello me 5.11\n", "hello me 4.1\n", "hello me\n"}) {
    TcpPeer peer{address()};
    EXPECT_TRUE(peer.send(hello));
    EXPECT_EQ(number_in(peer.line(), "at"), 1U) << hello;
  }
  EXPECT_THAT(drained(), ElementsAre("me 1 one"));
}

TEST_F(Acknowledge, AsksWhoDoesNotSayHello) {
  Engine& engine = serve({.acknowledge = true, .hello_limit = 4s});
  TcpPeer silent{address()};
  for (const char* no_hello : {"GET / HTTP/1.1\r\n", "hello \n", "hello a b\n", "\xff\xfe\n"}) {
    TcpPeer stranger{address()};
    EXPECT_TRUE(stranger.send(no_hello));
    EXPECT_THAT(stranger.line(), Optional(StartsWith("error say who you are")));
    EXPECT_TRUE(stranger.is_ended());
  }
  TcpPeer endless{address()};
  EXPECT_TRUE(endless.send(std::string(1000, 'x')));
  EXPECT_THAT(endless.line(), Optional(StartsWith("error say who you are")));
  EXPECT_THAT(silent.line(), Optional(StartsWith("error no hello")));
  EXPECT_TRUE(silent.is_ended());
  EXPECT_THAT(drained(), SizeIs(0));
  EXPECT_EQ(worker_of(engine, "in/0").restarts, 0U);
}

TEST_F(Acknowledge, HasRoomForAsManySendersAsItSaysAndKeepsThose) {
  Engine& engine = serve({.acknowledge = true, .senders = 3});
  const auto capacity = 3;
  for (int i = 0; i < capacity; ++i) {
    TcpPeer peer{address()};
    EXPECT_TRUE(peer.send("hello s" + std::to_string(i) + "\nx\n"));
    EXPECT_EQ(number_in(peer.line(), "at"), 0U);
    EXPECT_TRUE(acknowledged(peer, 1));
  }
  std::optional<std::string> refused;
  // A table has a little more room than was asked for, perhaps.
  for (int i = capacity; i < 1000 && !(refused && refused->starts_with("error")); ++i) {
    TcpPeer peer{address()};
    EXPECT_TRUE(peer.send("hello s" + std::to_string(i) + "\nx\n"));
    refused = peer.line();
    if (refused == "at 0") {
      EXPECT_TRUE(acknowledged(peer, 1));
    }
  }
  EXPECT_THAT(refused, Optional(StartsWith("error no room for another sender")));
  TcpPeer known{address()};
  EXPECT_TRUE(known.send("hello s1\n"));
  EXPECT_EQ(number_in(known.line(), "at"), 1U);
  engine.drain();
}

TEST_F(Acknowledge, OfASenderThatDoesNotListenHoldsNobodyUp) {
  serve({.acknowledge = true});
  TcpPeer deaf{address()};
  const int small = 1;
  ::setsockopt(deaf.fd(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
  EXPECT_TRUE(deaf.send("hello deaf\n"));
  TcpPeer peer{address()};
  EXPECT_TRUE(peer.send("hello me\n"));
  EXPECT_EQ(number_in(peer.line(), "at"), 0U);
  for (std::uint64_t i = 1; i <= 300; ++i) {
    for (int flood = 0; flood < 20; ++flood)
      EXPECT_TRUE(deaf.send("x\n"));
    EXPECT_TRUE(peer.send("y\n"));
    ASSERT_TRUE(acknowledged(peer, i));
  }
  // In the end it is told the newest count.
  EXPECT_EQ(number_in(deaf.line(), "at"), 0U);
  EXPECT_TRUE(acknowledged(deaf, 6000));
  EXPECT_THAT(drained(), SizeIs(6300));
}

TEST_F(Acknowledge, IsForOneWorker) {
  Pipeline pipeline{"two"};
  Listener listener{"127.0.0.1:0"};
  tcp_source(pipeline, "in", listener, {.acknowledge = true}, {.workers = 2})
      .to<ShowFrame>("show")
      .outlet("out");
  Engine engine{pipeline, settings()};
  EXPECT_THAT(error_of([&] { engine.start(); }), HasSubstr("give stage in one worker"));
}

// The same listener, in a second run in the same host.
TEST_F(Acknowledge, BeginsAgainWithAPipelineThatBeginsAgain) {
  listen({.acknowledge = true});
  for (int run = 0; run < 2; ++run) {
    start();
    TcpPeer peer{address()};
    ASSERT_TRUE(peer.connected());
    EXPECT_TRUE(peer.send("hello me\nx\n"));
    EXPECT_EQ(number_in(peer.line(), "at"), 0U);
    EXPECT_TRUE(acknowledged(peer, 1));
    EXPECT_THAT(drained(), ElementsAre("me 1 x"));
    EXPECT_FALSE(TcpPeer{address()}.connected()) << "a pipeline that has ended takes no connection";
    out_.reset();
    engine_.reset();
  }
}

}  // namespace
}  // namespace sluice::test
