// SPDX-License-Identifier: Apache-2.0
// UdpServer: each datagram is an event; what the kernel drops is counted, and what waits there outlives the worker.
#include "udp_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(UdpServers, HandOnEachDatagramAsItIs) {
  serve();
  send("one\ntwo");
  EXPECT_TRUE(shows(1)) << "at once";
  send("");
  send(std::string_view{"\0\xff", 2});
  EXPECT_TRUE(shows(3));
  EXPECT_THAT(drained(), ElementsAre(" 1 one\ntwo", " 2 ", " 3 " + std::string{"\0\xff", 2}));
}

TEST_F(UdpServers, TakeWhatCameWhileTheirWorkerWasReplaced) {
  serve();
  for (int i = 0; i < 10; ++i) {
    send("before");
    // What is committed cannot be lost with the worker.
    EXPECT_TRUE(shows(static_cast<std::size_t>(4 * i + 1)));
    const WorkerStats worker = worker_of(*engine_, "in/0");
    ASSERT_TRUE(engine_->signal_worker("in/0", SIGSTOP));
    // What it takes before it stands still goes with it.
    ASSERT_TRUE(eventually([&] { return is_stopped(worker.pid); }));
    for (int meanwhile = 0; meanwhile < 3; ++meanwhile)
      send("meanwhile");
    ASSERT_TRUE(engine_->signal_worker("in/0", SIGKILL));
    EXPECT_TRUE(eventually([&] { return worker_of(*engine_, "in/0").incarnation != worker.incarnation; }));
    EXPECT_TRUE(shows(static_cast<std::size_t>(4 * i + 4)));
  }
  const auto shown = drained();
  ASSERT_EQ(shown.size(), 40U);
  EXPECT_EQ(shown.back(), " 40 meanwhile");
}

TEST_F(UdpServers, SayHowManyTheKernelHasDropped) {
  serve({.receive_bytes = 4096});
  send("first");
  EXPECT_TRUE(shows(1));
  ASSERT_TRUE(engine_->signal_worker("in/0", SIGSTOP));
  constexpr std::size_t kSent = 1000;
  for (std::size_t i = 0; i < kSent; ++i)
    send(std::string(100, 'x'));
  ASSERT_TRUE(engine_->signal_worker("in/0", SIGCONT));
  // Each once another was taken, so that they fill nothing again.
  std::size_t others = 0;
  EXPECT_TRUE(eventually([&] {
    const std::size_t taken = out_->count();
    send("another");
    ++others;
    eventually([&] { return out_->count() != taken; }, 1s);
    return engine_->stats().problem_count != 0;
  }));
  const std::string said = engine_->stats().problems.front();
  EXPECT_THAT(said, AllOf(HasSubstr("datagrams at " + socket_->address() + " were lost"),
                          HasSubstr("buffer was full")));
  // An early one of the others may have found the buffer full, too.
  const std::size_t sent = 1 + kSent + others;
  EXPECT_TRUE(eventually([&] {
    return said.find(" " + std::to_string(sent - out_->count()) + " when") != said.npos;
  })) << said
      << ", " << sent << " were sent and " << out_->count() << " came";
  EXPECT_LT(drained().size(), kSent);
}

// The kernel counts for the socket, which all of them read from.
TEST_F(UdpServers, CountWhatTheKernelHasDroppedOnceForAllWorkers) {
  serve({.receive_bytes = 4096}, {}, 3);
  for (const char* worker : {"in/0", "in/1", "in/2"})
    ASSERT_TRUE(engine_->signal_worker(worker, SIGSTOP));
  for (const char* worker : {"in/0", "in/1", "in/2"})
    ASSERT_TRUE(eventually([&] { return is_stopped(worker_of(*engine_, worker).pid); }));
  constexpr std::size_t kSent = 1000;
  for (std::size_t i = 0; i < kSent; ++i)
    send(std::string(100, 'x'));
  // Each of them takes something of it, alone, and sees the count that the kernel adds to it.
  for (const char* worker : {"in/2", "in/1", "in/0"}) {
    ASSERT_TRUE(engine_->signal_worker(worker, SIGCONT));
    const std::uint64_t before = worker_of(*engine_, worker).events_out;
    EXPECT_TRUE(eventually([&] {
      send("another");
      return worker_of(*engine_, worker).events_out != before;
    }));
    ASSERT_TRUE(engine_->signal_worker(worker, SIGSTOP));
    ASSERT_TRUE(eventually([&] { return is_stopped(worker_of(*engine_, worker).pid); }));
  }
  for (const char* worker : {"in/0", "in/1", "in/2"})
    ASSERT_TRUE(engine_->signal_worker(worker, SIGCONT));
  EXPECT_TRUE(eventually([&] { return engine_->stats().problem_count != 0; }));
  drained();
  for (const std::string& said : engine_->stats().problems)
    EXPECT_THAT(said, HasSubstr("in/0"));
}

TEST_F(UdpServers, DropADatagramThatIsTooLongAndSaySo) {
  serve({}, {.frame_bytes = 100});
  send(std::string(101, 'x'));
  send(std::string(100, 'y'));
  EXPECT_TRUE(shows(1));
  EXPECT_TRUE(eventually([&] { return engine_->stats().problem_count != 0; }));
  EXPECT_THAT(engine_->stats().problems, Contains(HasSubstr("1 of more than 100 bytes")));
  EXPECT_THAT(drained(), ElementsAre(" 1 " + std::string(100, 'y')));
}

}  // namespace
}  // namespace sluice::test
