// SPDX-License-Identifier: Apache-2.0
// Sources that are slow, that wait and that have nothing: alive as long as they answer, and their events go at once.
#include <csignal>
#include <sys/stat.h>

#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::SizeIs;

class Sources : public WithOutside {};

// Looks for a while and has nothing, until there is a file.
class Looker {
 public:
  Looker(Worker&, const std::string& until) : until_{until} {}
  SourceState operator()(Output<Item>& out) const {
    std::this_thread::sleep_for(100ms);
    if (!std::filesystem::exists(until_)) return SourceState::nothing_now;
    out.push({});
    return SourceState::end;
  }

 private:
  std::string until_;
};

TEST_F(Sources, AreAliveHoweverLongEachLookTakesWithinTheDeadline) {
  Pipeline pipeline{"looker"};
  pipeline.source<Looker>("look", {}, file("until")).outlet("out");
  Engine engine{pipeline, settings({"watchdog.deadline=500ms"})};
  engine.start();
  Collector<Item> out{engine, "out"};
  std::this_thread::sleep_for(3s);  // Six deadlines.
  EXPECT_EQ(worker_of(engine, "look/0").restarts, 0U);
  std::ofstream{file("until")} << "now";
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), SizeIs(1));
  EXPECT_EQ(worker_of(engine, "look/0").restarts, 0U);
}

// Says its end when it has made three items, and has ten more to say then, a portion each. It dies in the midst of these.
class DiesInItsLastWord {
 public:
  explicit DiesInItsLastWord(Worker& worker) : worker_{worker}, made_{worker.state<std::uint32_t>("made")} {}
  SourceState operator()(Output<Item>& out) {
    if (*made_ == 3 || *made_ > 100) return SourceState::end;
    make(out);
    return SourceState::more;
  }
  bool finish(Output<Item>& out) {
    if (*made_ == 9 && worker_.incarnation() == 1) std::raise(SIGKILL);
    if (*made_ < 13) make(out);
    return *made_ < 13;
  }

 private:
  void make(Output<Item>& out) {
    out.push({0, *made_});
    ++made_.edit();
  }
  Worker& worker_;
  Recoverable<std::uint32_t> made_;
};

TEST_F(Sources, AreNotAskedForMoreOnceTheyHaveSaidAPartOfTheirLastWord) {
  Pipeline pipeline{"last"};
  pipeline.source<DiesInItsLastWord>("last").outlet("out");
  Engine engine{pipeline, settings({"batch.events=2"})};
  engine.start();
  Collector<Item> out{engine, "out"};
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(worker_of(engine, "last/0").restarts, 1U);
  const std::vector<Item> all = out.all();
  ASSERT_THAT(all, SizeIs(13));
  for (std::uint32_t i = 0; i < 13; ++i)
    EXPECT_EQ(all[i].number, i);
}

// Makes an item of each byte that comes, and waits for the bytes.
class FromPipe {
 public:
  FromPipe(Worker& worker, int fd, bool declares) : worker_{worker}, fd_{fd}, declares_{declares} {}
  SourceState operator()(Output<Item>& out) const {
    if (declares_ && !worker_.wait_for(fd_, 1h)) return SourceState::nothing_now;
    unsigned char byte = 0;
    if (::read(fd_, &byte, 1) != 1) return SourceState::end;
    out.push({0, byte});
    return SourceState::more;
  }

 private:
  Worker& worker_;
  int fd_;
  bool declares_;
};

struct Pipe {
  Pipe() { EXPECT_EQ(::pipe(ends), 0); }
  ~Pipe() {
    ::close(ends[0]);
    close_writer();
  }
  void close_writer() {
    if (ends[1] >= 0) ::close(ends[1]);
    ends[1] = -1;
  }
  void say(unsigned char byte) const { EXPECT_EQ(::write(ends[1], &byte, 1), 1); }
  int ends[2] = {-1, -1};
};

class SlowSources : public Sources, public testing::WithParamInterface<bool> {};

TEST_P(SlowSources, HandOnEachEventBeforeTheNextOneComes) {
  Pipe pipe;
  Pipeline pipeline{"drip"};
  pipeline.source<FromPipe>("drip", {.descriptors = {pipe.ends[0]}}, pipe.ends[0], GetParam()).outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  auto out = engine.outlet<Item>("out");
  // Each byte is written only when the item of the one before is here: one that waits for others never comes.
  for (unsigned char byte = 0; byte < 20; ++byte) {
    std::this_thread::sleep_for(20ms);
    pipe.say(byte);
    EXPECT_TRUE(eventually([&] {
      return out.poll([byte](const Item& item) { EXPECT_EQ(item.number, byte); }) != 0;
    })) << int{byte};
  }
  engine.stop();
}

INSTANTIATE_TEST_SUITE_P(That, SlowSources, testing::Bool(),
                         [](const auto& declares) { return declares.param ? "SayThatTheyWait" : "Block"; });

TEST_F(Sources, ThatWaitShowAsIdleAndTakeNoProcessorTime) {
  Pipe pipe;
  Pipeline pipeline{"wait"};
  pipeline.source<FromPipe>("wait", {.descriptors = {pipe.ends[0]}}, pipe.ends[0], true).outlet("out");
  Engine engine{pipeline, settings({"watchdog.deadline=200ms"})};
  engine.start();
  Collector<Item> out{engine, "out"};
  pipe.say(1);
  EXPECT_TRUE(eventually([&] { return out.count() == 1; }));
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "wait/0").verdict == "idle"; }));
  const WorkerStats before = worker_of(engine, "wait/0");
  const auto used = cpu_time_of(before.pid);
  std::this_thread::sleep_for(2s);  // Ten deadlines.
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "wait/0").verdict == "idle"; }));
  EXPECT_LE(cpu_time_of(before.pid) - used, 50ms);
  EXPECT_EQ(worker_of(engine, "wait/0").restarts, 0U);
  engine.drain();
  EXPECT_THAT(out.all(), SizeIs(1)) << "a drain ends the wait";
}

// Makes two events, and waits.
class TwoThenWait {
 public:
  explicit TwoThenWait(Worker& worker) : worker_{worker}, made_{worker.state<std::uint32_t>("made")} {}
  SourceState operator()(Output<Item>& out) {
    if (*made_ >= 2 && !worker_.wait_for(1h)) return SourceState::nothing_now;
    out.push({0, made_.edit()++});
    return SourceState::more;
  }

 private:
  Worker& worker_;
  Recoverable<std::uint32_t> made_;
};

// The same with a flush.
class TwoThenWaitWithAFlush {
 public:
  explicit TwoThenWaitWithAFlush(Worker& worker) : two_{worker} {
    worker.before_commit([] {});
  }
  SourceState operator()(Output<Item>& out) { return two_(out); }

 private:
  TwoThenWait two_;
};

class SourcesThatWait : public Sources {
 protected:
  template <class Source>
  void expect_two_handed_on() {
    Pipeline pipeline{"two"};
    pipeline.source<Source>("two").outlet("out");
    Engine engine{pipeline, settings({"batch.linger=1h"})};
    engine.start();
    Collector<Item> out{engine, "out"};
    EXPECT_TRUE(eventually([&] { return out.count() == 2; }));
    EXPECT_TRUE(eventually([&] { return worker_of(engine, "two/0").verdict == "idle"; }));
    engine.drain();
    EXPECT_THAT(out.all(), SizeIs(2));
  }
};

TEST_F(SourcesThatWait, HaveHandedOnWhatTheyMadeBefore) {
  expect_two_handed_on<TwoThenWait>();
}

// With flushes it is not committed in the midst of a call; all the same nothing waits with it.
TEST_F(SourcesThatWait, HaveHandedOnWhatTheyMadeBeforeWithFlushesToo) {
  expect_two_handed_on<TwoThenWaitWithAFlush>();
}

TEST_F(Sources, LingerWithTheirEventsAsLongAsTheySay) {
  class Ten {
   public:
    explicit Ten(Worker& worker) : made_{worker.state<std::uint32_t>("made")} {}
    bool operator()(Output<Item>& out) {
      if (*made_ == 10) return false;
      std::this_thread::sleep_for(20ms);
      out.push({0, made_.edit()++});
      return true;
    }

   private:
    Recoverable<std::uint32_t> made_;
  };
  Pipeline pipeline{"ten"};
  pipeline.source<Ten>("ten").outlet("out");
  const auto batches = [&](const char* linger) {
    Engine engine{pipeline, settings({linger})};
    engine.start();
    Collector<Item> out{engine, "out"};
    EXPECT_TRUE(engine.wait_for(kDeadline));
    EXPECT_THAT(out.all(), SizeIs(10));
    return worker_of(engine, "ten/0").batches;
  };
  EXPECT_GE(batches("batch.linger=0s"), 10U);
  EXPECT_LE(batches("batch.linger=1min"), 2U);
}

// Says nothing_now to each thing that it does, and keeps outside what it did under which id; is killed after the first
// commit of each thing, or before it.
class Poller {
 public:
  Poller(Worker& worker, const std::string& log, bool pushes)
      : worker_{worker}, log_{log}, pushes_{pushes}, next_{worker.state<std::uint32_t>("next")} {
    worker.before_commit([this](std::span<const Covered> covered) {
      for (const Covered& lane : covered) {
        if (lane.first.lane() == EventId::kLastWord) continue;
        log_line(log_, "covers " + std::to_string(lane.first.position) + " " + std::to_string(lane.end));
      }
    });
  }
  SourceState operator()(Output<Item>& out) {
    if (*next_ == 20) return SourceState::end;
    const bool does = ++calls_ % 2 == 0;  // Every other look is in vain.
    if (!does) return SourceState::nothing_now;
    if (pushes_) out.push({0, static_cast<std::uint32_t>(worker_.event_id().position)});
    next_.edit()++;
    return SourceState::nothing_now;
  }

 private:
  Worker& worker_;
  std::string log_;
  bool pushes_;
  Recoverable<std::uint32_t> next_;
  unsigned calls_ = 0;
};

class CallsThatHaveNothingNow : public Sources, public testing::WithParamInterface<bool> {};

TEST_P(CallsThatHaveNothingNow, AreEventsIfTheyDidSomething) {
  Pipeline pipeline{"poller"};
  pipeline.source<Poller>("poll", {}, log(), GetParam()).outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<Item> out{engine, "out"};
  EXPECT_TRUE(engine.wait_for(kDeadline));
  std::vector<std::string> covers;
  covers.reserve(20);
  for (int call = 0; call < 20; ++call)
    covers.push_back("covers " + std::to_string(call) + " " + std::to_string(call + 1));
  EXPECT_EQ(lines_of(log()), covers);
  EXPECT_EQ(worker_of(engine, "poll/0").events_in, 20U);
  const std::vector<Item> under_ids_of_their_own = items(20, 1);
  EXPECT_EQ(out.all(), GetParam() ? under_ids_of_their_own : std::vector<Item>{});
}

INSTANTIATE_TEST_SUITE_P(That, CallsThatHaveNothingNow, testing::Bool(),
                         [](const auto& pushes) { return pushes.param ? "Push" : "ChangeState"; });

}  // namespace
}  // namespace sluice::test
