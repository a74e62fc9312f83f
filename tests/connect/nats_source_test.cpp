// SPDX-License-Identifier: Apache-2.0
// NatsSource, with a real server: what it reads, how it waits, what it says of a stream that is not what it was, and that
// kills of anything neither lose nor repeat a message.
#include "cutting_proxy.hpp"
#include "nats_source_world.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(NatsSourceTest, ReadsAllThatIsThereOnceAndInOrder) {
  send(numbered(0, 5000));
  EXPECT_EQ(read(options()), numbered(0, 5000));
}

TEST_F(NatsSourceTest, EndsAtOnceWhenNothingIsThereAndItFollowsNothing) {
  EXPECT_THAT(read(options()), testing::IsEmpty());
}

TEST_F(NatsSourceTest, BeginsWhereItIsToldAndReadsItsSubjectsOnly) {
  send({"one", "two", "three"});
  send({"other"}, "in.b");
  NatsSourceOptions from = options();
  from.first_sequence = 3;
  EXPECT_THAT(read(from), ElementsAre("three", "other"));
  from = options();
  from.subject = "in.b";
  EXPECT_THAT(read(from), ElementsAre("other"));
  from = options();
  from.only_new = true;
  EXPECT_THAT(read(from), testing::IsEmpty());
}

TEST_F(NatsSourceTest, WaitsForMoreWithoutTakingProcessorTimeAndEndsWhenItIsDrained) {
  Engine engine{reading(options(true)), settings({"watchdog.deadline=1s"})};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  send({"one"});
  EXPECT_TRUE(eventually([&] { return out.count() == 1; }));
  const pid_t pid = worker_of(engine, "read/0").pid;
  const auto before = cpu_time_of(pid);
  std::this_thread::sleep_for(3s);  // Longer than a pull.
  EXPECT_LT(cpu_time_of(pid) - before, 300ms);
  EXPECT_EQ(worker_of(engine, "read/0").pid, pid);
  send({"two"});
  EXPECT_TRUE(eventually([&] { return out.count() == 2; }));
  engine.drain();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), ElementsAre("one", "two"));
}

TEST_F(NatsSourceTest, GoesOnFromItsCommitWhenItIsStartedAgain) {
  const Settings kept = parked_behind_a_hundred();
  send(numbered(100, 200));
  EXPECT_EQ(read(options(), kept), numbered(100, 200));
}

TEST_F(NatsSourceTest, EndsWhenTheServerWasSetBack) {
  const auto copy = [this](const std::string& from, const std::string& to) {
    server().kill();
    clear_away(file(to));
    std::filesystem::copy(file(from), file(to), std::filesystem::copy_options::recursive);
    server().start();
  };
  send(numbered(0, 50));
  copy("nats/store", "older");
  send(numbered(50, 100));
  Settings kept = settings();
  kept.set("segment.path", file("segment"));
  {
    Engine engine{reading(options(true)), kept};
    engine.start();
    Collector<Bytes> out{engine, "out"};
    EXPECT_TRUE(eventually([&] { return out.count() == 100; }));
    engine.park();
    EXPECT_TRUE(engine.wait_for(kDeadline));
  }
  copy("older", "nats/store");
  read(options(), kept);
  EXPECT_THAT(said_, AllOf(HasSubstr("ends at sequence 50"), HasSubstr("100 was handled")));
}

TEST_F(NatsSourceTest, ReadsOnWhenTheServerForgetsItsConsumer) {
  Engine engine{reading(options(true)), settings()};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  send({"one"});
  EXPECT_TRUE(eventually([&] { return out.count() == 1; }));
  EXPECT_EQ(delete_consumers(server().url(), "IN"), 1U);
  send({"two"});
  EXPECT_TRUE(eventually([&] { return out.count() == 2; }));
  engine.drain();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), ElementsAre("one", "two"));
}

TEST_F(NatsSourceTest, SaysWhatIsWrong) {
  NatsSourceOptions wrong = options();
  wrong.stream = "NONE";
  read(wrong);
  EXPECT_THAT(said_, AllOf(HasSubstr("stream NONE"), HasSubstr("no such stream")));
  Pipeline pipeline{"two"};
  pipeline.source<NatsSource>("read", {.workers = 2}, options()).outlet("out");
  Engine engine{pipeline, settings()};
  EXPECT_THAT(error_of([&] {
                engine.start();
                engine.wait_for(kDeadline);
              }),
              AllOf(HasSubstr("2 workers"), HasSubstr("{replica}")));
}

TEST_F(NatsSourceTest, LeavesInAWorkQueueWhatNoCheckpointHolds) {
  make_stream(server().url(), {.name = "QUEUE", .subject = "queue.*", .work_queue = true});
  NatsSourceOptions queue = options(true);
  queue.stream = "QUEUE";
  Engine engine{reading(queue), after_checkpoints()};
  engine.start();
  forbid_checkpoints(engine);
  send_messages(server().url(), "queue.a", numbered(0, 30));
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "read/0").events_out == 30; }));
  EXPECT_TRUE(checkpoint_fails(engine) && checkpoint_fails(engine));
  EXPECT_EQ(count_of(server().url(), "QUEUE"), 30U);
  allow_checkpoints();
  EXPECT_TRUE(eventually([&] { return count_of(server().url(), "QUEUE") == 0; }));
  engine.stop();
}

TEST_F(NatsSourceTest, EmptiesAWorkQueueExactly) {
  make_stream(server().url(), {.name = "QUEUE", .subject = "queue.*", .work_queue = true});
  send_messages(server().url(), "queue.a", numbered(0, 3000));
  NatsSourceOptions queue = options(true);
  queue.stream = "QUEUE";
  Engine engine{reading(queue), settings({"restart.budget=1000000"})};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  for (std::size_t next = 300; next <= 2400; next += 300) {
    EXPECT_TRUE(eventually([&] { return out.count() >= next; }));
    kill_worker_of(engine, "read/0");
  }
  EXPECT_TRUE(eventually([&] { return count_of(server().url(), "QUEUE") == 0; }));
  engine.drain();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(out.all(), numbered(0, 3000));
}

// Whoever may publish could stop the source by it.
TEST_F(NatsSourceTest, ReadsAMessageThatLooksLikeAWordOfTheServer) {
  for (const std::string status : {"100", "404", "408", "409", "no status"}) {
    purge_stream(server().url(), "IN");
    send({"before"});
    send_header(server().url(), "in.a", "Status", status);
    send({"behind"});
    EXPECT_THAT(read(options(), settings({"outside.patience=5s"})), ElementsAre("before", "", "behind"))
        << status << ": " << said_;
  }
}

// libnats gives it to nobody.
TEST_F(NatsSourceTest, NamesAMessageThatNobodyCanRead) {
  for (const bool last : {false, true}) {
    purge_stream(server().url(), "IN");
    send({"before"});
    send_header(server().url(), "in.a", "Status", "503");
    if (!last) send({"behind"});
    std::ignore = read(options());  // It ends, with what stands before that or without.
    EXPECT_THAT(said_, AllOf(HasSubstr("Status: 503"), HasSubstr("nats stream rmm IN ")));
  }
}

// A connection that ends takes along what the server has not read of it.
TEST_F(NatsSourceTest, LeavesNothingThatWasHandledInAWorkQueueThatIsDrained) {
  make_stream(server().url(), {.name = "QUEUE", .subject = "queue.*", .work_queue = true});
  NatsSourceOptions queue = options(true);
  queue.stream = "QUEUE";
  queue.batch = 25;
  for (unsigned drains = 0; drains < 5; ++drains) {
    send_messages(server().url(), "queue.a", numbered(0, 1000));
    Engine engine{reading(queue), settings()};
    engine.start();
    Collector<Bytes> out{engine, "out"};
    EXPECT_TRUE(eventually([&] { return out.count() >= 1000; }));
    engine.drain();
    EXPECT_TRUE(engine.wait_for(kDeadline));
    EXPECT_EQ(out.all(), numbered(0, 1000)) << "of drain " << drains;
  }
  EXPECT_TRUE(eventually([&] { return count_of(server().url(), "QUEUE") == 0; }));
}

TEST_F(NatsSourceTest, KillsOfItsWorkerNeitherLoseNorRepeat) {
  const unsigned wanted = kills_wanted(15);
  unsigned kills = 0;
  const auto got = read_while(options(true), 2000, [&](Engine& engine) {
    if (const pid_t pid = worker_of(engine, "read/0").pid; pid > 1 && ::kill(pid, SIGKILL) == 0) ++kills;
    return kills >= wanted;
  });
  EXPECT_EQ(got, numbered(0, sent_));
}

TEST_F(NatsSourceTest, KillsOfTheServerNeitherLoseNorRepeat) {
  const unsigned wanted = std::min(kills_wanted(4), 50U);
  unsigned kills = 0;
  const auto got = read_while(options(true), 2000, [&](Engine&) {
    server().kill();
    server().start();
    return ++kills >= wanted;
  });
  EXPECT_EQ(got, numbered(0, sent_));
}

TEST_F(NatsSourceTest, ConnectionsThatAreCutNeitherLoseNorRepeat) {
  CuttingProxy proxy{server().port(), static_cast<std::uint32_t>(random_()), 2000, 20'000};
  NatsSourceOptions through = options(true);
  through.server.url = proxy.nats_url();
  const unsigned wanted = std::min(kills_wanted(10), 200U);
  proxy.cut(wanted);
  const auto got = read_while(through, 2000, [&](Engine&) { return proxy.cuts() >= wanted; });
  EXPECT_EQ(got, numbered(0, sent_));
}

}  // namespace
}  // namespace sluice::test
