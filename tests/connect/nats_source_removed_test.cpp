// SPDX-License-Identifier: Apache-2.0
// NatsSource and messages that are gone before they were read: told where they may have been its own, and never its own doing.
#include "nats_source_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// The pipeline is parked behind 100 messages; `meanwhile` happens; what the next start says, or reads.
class NatsSourceParked : public NatsSourceTest {
 protected:
  std::vector<std::string> read_after(const std::function<void()>& meanwhile, const NatsSourceOptions& then) {
    const Settings kept = parked_behind_a_hundred(then.subject);
    meanwhile();
    return read(then, kept);
  }
};

TEST_F(NatsSourceParked, PassesOverWhatAPersonRemoved) {
  EXPECT_EQ(read_after(
                [&] {
                  send(numbered(100, 200));
                  delete_message(server().url(), "IN", 150);
                },
                options())
                .size(),
            99U);
  EXPECT_EQ(said_, "");
}

TEST_F(NatsSourceParked, EndsWhenAStreamRemovedWhatWasNotRead) {
  const auto meanwhile = [&] {
    send(numbered(100, 200));
    purge_stream(server().url(), "IN");
    send({"new"});
  };
  read_after(meanwhile, options());
  EXPECT_THAT(said_, AllOf(HasSubstr("stream IN"), HasSubstr("101 to 200"), HasSubstr("on_removed")));
}

TEST_F(NatsSourceParked, GoesOnWithoutWhatAStreamRemovedWhenToldTo) {
  NatsSourceOptions then = options();
  then.on_removed = NatsRemoved::go_on;
  const auto meanwhile = [&] {
    send(numbered(100, 200));
    purge_stream(server().url(), "IN");
    send({"new"});
  };
  EXPECT_THAT(read_after(meanwhile, then), ElementsAre("new"));
}

TEST_F(NatsSourceParked, EndsWhenAStreamRemovedWhatMayHaveBeenOfItsSubject) {
  const auto meanwhile = [&] {
    send(numbered(100, 200));
    purge_stream(server().url(), "IN");
    send({"new"});
  };
  NatsSourceOptions then = options();
  then.subject = "in.a";
  EXPECT_THAT(read_after(meanwhile, then), testing::IsEmpty());
  EXPECT_THAT(said_,
              AllOf(HasSubstr("stream IN"), HasSubstr("101 to 200"), HasSubstr("of in.a may have been")));
}

TEST_F(NatsSourceParked, GoesOnBehindOtherSubjectsMessages) {
  NatsSourceOptions then = options();
  then.subject = "in.a";
  const auto meanwhile = [&] {
    send(numbered(0, 100), "in.b");
    send({"new"});
  };
  EXPECT_THAT(read_after(meanwhile, then), ElementsAre("new"));
  EXPECT_EQ(said_, "");
}

TEST_F(NatsSourceParked, EndsWhenTheStreamWasMadeAnew) {
  const auto meanwhile = [&] {
    delete_stream(server().url(), "IN");
    make_stream(server().url(), {"IN", "in.*"});
    send(numbered(0, 200));
  };
  read_after(meanwhile, options());
  EXPECT_THAT(said_, AllOf(HasSubstr("stream IN"), HasSubstr("made anew")));
}

// A stream of few messages, of which only those to few.a are read.
class NatsSourceOfFew : public NatsSourceTest {
 protected:
  void SetUp() override {
    NatsSourceTest::SetUp();
    if (IsSkipped()) return;
    make_stream(server().url(), {.name = "FEW", .subject = "few.*", .max_messages = 50});
    few_ = options(true);
    few_.stream = "FEW";
    few_.subject = "few.a";
  }
  NatsSourceOptions few_;
};

TEST_F(NatsSourceOfFew, EndsWhenLimitsTookMessagesOfItsSubjectWhileItRan) {
  send({"one"}, "few.a");
  Engine engine{reading(few_), settings()};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  EXPECT_TRUE(eventually([&] { return out.count() == 1; }));
  const pid_t pid = worker_of(engine, "read/0").pid;
  ::kill(pid, SIGSTOP);
  // More than the pulls that it has under way.
  for (int turn = 0; turn < 30; ++turn)
    send(numbered(0, 50), turn % 2 == 0 ? "few.a" : "few.b");
  ::kill(pid, SIGCONT);
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }),
              AllOf(HasSubstr("stream FEW"), HasSubstr("of few.a may have been")));
}

TEST_F(NatsSourceOfFew, RestsWhileOtherSubjectsMessagesComeAndGo) {
  Engine engine{reading(few_), settings()};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  for (unsigned turn = 1; turn <= 2; ++turn) {
    send({"mine"}, "few.a");
    EXPECT_TRUE(eventually([&] { return out.count() == turn; }));
    for (int others = 0; others < 2; ++others) {
      send(numbered(0, 40), "few.b");
      wait_for_requests(server().url(), "STREAM.INFO.FEW", 4);  // It looks twice at a time.
    }
    kill_worker_of(engine, "read/0");
  }
  engine.drain();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), ElementsAre("mine", "mine"));
}

// No message comes behind what is gone, which shows that something is.
class NatsSourceThatIsHeldUp : public NatsSourceTest {
 protected:
  // A purge takes all of what is sent that the source has not pulled by the time at which nobody takes any more from it.
  void read_and_purge(Engine& engine, const NatsSourceOptions& options, const std::function<void()>& send) {
    if (!options.follow) send();
    engine.start();
    if (options.follow) send();
    EXPECT_TRUE(eventually([&] { return worker_of(engine, "read/0").full_waits != 0; }));
    purge_stream(server().url(), options.stream);
  }
  Settings small_lanes() { return settings({"lane.bytes=16KiB"}); }
};

TEST_F(NatsSourceThatIsHeldUp, EndsWithAnErrorWhereNothingComesBehindWhatIsGone) {
  for (const bool follow : {false, true}) {
    for (const std::string subject : {"", "in.a"}) {
      NatsSourceOptions few = options(follow);
      few.subject = subject;
      few.batch = 10;
      Engine engine{reading(few), small_lanes()};
      read_and_purge(engine, few, [&] { send(numbered(0, 3000)); });
      Collector<Bytes> out{engine, "out"};
      EXPECT_THAT(error_of([&] { EXPECT_FALSE(engine.wait_for(kDeadline)); }),
                  AllOf(HasSubstr("stream IN"), HasSubstr("before they were read"), HasSubstr("on_removed")))
          << follow << subject;
    }
  }
}

TEST_F(NatsSourceThatIsHeldUp, TellsWhatAWorkQueueLostWhereNothingComesBehindIt) {
  make_stream(server().url(), {.name = "QUEUE", .subject = "queue.*", .work_queue = true});
  NatsSourceOptions queue = options(true);
  queue.stream = "QUEUE";
  queue.batch = 10;
  Engine engine{reading(queue), small_lanes()};
  read_and_purge(engine, queue, [&] { send_messages(server().url(), "queue.a", numbered(0, 3000)); });
  Collector<Bytes> out{engine, "out"};
  EXPECT_TRUE(eventually([&] { return engine.stats().problem_count != 0; }));
  engine.drain();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(engine.stats().problems, ElementsAre(AllOf(HasSubstr("to 3000"), HasSubstr("stream QUEUE"))));
}

// All of it was gone by the time at which the next start looked.
TEST_F(NatsSourceThatIsHeldUp, TellsThatAWorkQueueWasEmptiedWhileItWasParked) {
  make_stream(server().url(), {.name = "QUEUE", .subject = "queue.*", .work_queue = true});
  Settings kept = settings();
  kept.set("segment.path", file("segment"));
  NatsSourceOptions queue = options(true);
  queue.stream = "QUEUE";
  {
    send_messages(server().url(), "queue.a", numbered(0, 20));
    Engine engine{reading(queue), kept};
    engine.start();
    Collector<Bytes> out{engine, "out"};
    EXPECT_TRUE(eventually([&] { return out.count() == 20 && count_of(server().url(), "QUEUE") == 0; }));
    engine.park();
    EXPECT_TRUE(engine.wait_for(kDeadline));
  }
  send_messages(server().url(), "queue.a", numbered(20, 50));
  purge_stream(server().url(), "QUEUE");
  queue.follow = false;
  Engine engine{reading(queue), kept};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(engine.stats().problems, ElementsAre(HasSubstr("21 to 50")));
}

// Limits took the older half while nobody read: that is told, once.
TEST_F(NatsSourceTest, TellsWhatAWorkQueueRemovedUnread) {
  make_stream(server().url(),
              {.name = "QUEUE", .subject = "queue.*", .max_messages = 50, .work_queue = true});
  send_messages(server().url(), "queue.a", numbered(0, 60));
  NatsSourceOptions queue = options(true);
  queue.stream = "QUEUE";
  Settings kept = settings();
  kept.set("segment.path", file("segment"));
  const auto life = [&](const std::function<void(Engine&)>& run) {
    Engine engine{reading(queue), kept};
    engine.start();
    Collector<Bytes> out{engine, "out"};
    run(engine);
    EXPECT_TRUE(eventually([&] { return out.count() == 50 && count_of(server().url(), "QUEUE") == 0; }));
    engine.park();
    EXPECT_TRUE(engine.wait_for(kDeadline));
    return engine.stats().problems;
  };
  EXPECT_THAT(life([](Engine&) {}), testing::IsEmpty())
      << "what was gone when it began was never there for it";
  send_messages(server().url(), "queue.a", numbered(60, 160));
  EXPECT_THAT(life([&](Engine& engine) { kill_worker_of(engine, "read/0"); }),
              ElementsAre(AllOf(HasSubstr("61 to 110"), HasSubstr("stream QUEUE"), HasSubstr("limits"))));
}

// What is passed over would be acknowledged, and so removed unread.
TEST_F(NatsSourceTest, PassesOverNothingOfAWorkQueue) {
  make_stream(server().url(), {.name = "QUEUE", .subject = "queue.*", .work_queue = true});
  send_messages(server().url(), "queue.a", numbered(0, 30));
  NatsSourceOptions queue = options();
  queue.stream = "QUEUE";
  queue.first_sequence = 11;
  EXPECT_THAT(read(queue), testing::IsEmpty());
  EXPECT_THAT(said_, AllOf(HasSubstr("stream QUEUE"), HasSubstr("first_sequence")));
  queue.first_sequence = 1;
  queue.only_new = true;
  EXPECT_THAT(read(queue), testing::IsEmpty());
  EXPECT_THAT(said_, AllOf(HasSubstr("stream QUEUE"), HasSubstr("only_new")));
  EXPECT_EQ(count_of(server().url(), "QUEUE"), 30U);
}

}  // namespace
}  // namespace sluice::test
