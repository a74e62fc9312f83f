// SPDX-License-Identifier: Apache-2.0
// The outside is away: nothing is blamed and nothing lost, everybody can see it, and a slow call says so itself.
#include <optional>

#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Where a handler needs the service.
enum class Where { handler, flush, constructor };

class Client {
 public:
  Client(Worker& worker, const std::string& service, Where where) : service_{service}, where_{where} {
    if (where == Where::constructor) reach();
    if (where == Where::flush) worker.before_commit([this] { reach(); });
  }
  void operator()(const Item& item, Output<Item>& out) const {
    if (where_ == Where::handler) reach();
    out.push(item);
  }

 private:
  void reach() const {
    if (!std::filesystem::exists(service_))
      throw Unavailable{"the service at " + service_ + " does not answer"};
  }
  std::string service_;
  Where where_;
};

class Away : public WithOutside {
 protected:
  std::string service() const { return file("service"); }
  std::string text_of_reports() const {
    std::string text;
    for (const std::string& line : lines_of(file("reports/deaths.jsonl")))
      text += line + "\n";
    return text;
  }
  void come_back() const { std::ofstream{service()} << "here"; }
  // Whether it shows as waiting outside, with the text and a time that passes.
  static bool shows_it(const Engine& engine, const std::string& worker) {
    const WorkerStats seen = worker_of(engine, worker);
    return seen.verdict == "waiting outside" && seen.outside.find("does not answer") != std::string::npos &&
           seen.outside_for > 100ms;
  }
};

class AwayFrom : public Away, public testing::WithParamInterface<Where> {};

TEST_P(AwayFrom, MakesItWaitAndCostsNoEvent) {
  Pipeline pipeline{"client"};
  pipeline.inlet<Item>("in").to<Client>("client", {}, service(), GetParam()).outlet("out");
  // With so small a budget a worker that died of it would end the pipeline.
  Engine engine{pipeline, settings({"restart.budget=0", "poison.attempts=1", "watchdog.deadline=300ms"})};
  engine.start();
  Collector<Item> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(1000, 1))
    std::ignore = in.push(item);
  EXPECT_TRUE(eventually([&] { return shows_it(engine, "client/0"); }));
  EXPECT_THAT(to_text(engine.stats(), {}, 0),
              AllOf(HasSubstr("waits outside"), HasSubstr("does not answer")));
  come_back();
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(out.all(), items(1000, 1));
  const WorkerStats client = worker_of(engine, "client/0");
  EXPECT_EQ(client.restarts, 0U);
  EXPECT_EQ(client.dead_letters, 0U);
  EXPECT_THAT(client.outside, IsEmpty());
}

INSTANTIATE_TEST_SUITE_P(A, AwayFrom, testing::Values(Where::handler, Where::flush, Where::constructor),
                         [](const auto& where) {
                           return where.param == Where::handler ? "Handler"
                                  : where.param == Where::flush ? "Flush"
                                                                : "Constructor";
                         });

// Takes a few in one call.
class TakesFew {
 public:
  TakesFew(Worker& worker, std::size_t most) {
    worker.before_commit([this, most] {
      if (std::exchange(events_, 0) > most) throw Unavailable{"no answer within the time for a call"};
    });
  }
  void operator()(const Item& item, Output<Item>& out) {
    out.push(item);
    ++events_;
  }

 private:
  std::size_t events_ = 0;
};

TEST_F(Away, BecauseABatchIsTooLargeForACallLetsItThroughInSmallerOnes) {
  for (const std::size_t most : {1U, 10U, 40U}) {
    Pipeline pipeline{"slow"};
    pipeline.inlet<Item>("in").to<TakesFew>("slow", {}, most).outlet("out");
    Engine engine{pipeline, settings({"restart.budget=0", "batch.events=64"})};
    engine.start();
    Collector<Item> out{engine, "out"};
    auto in = engine.inlet<Item>("in");
    EXPECT_EQ(in.push_batch(items(300, 1)), PushResult::accepted);
    in.close();
    EXPECT_TRUE(engine.wait_for(kDeadline)) << most;
    EXPECT_EQ(out.all(), items(300, 1));
  }
}

// Goes away in the midst of the numbers.
class Feed {
 public:
  Feed(Worker& worker, const std::string& service)
      : service_{service}, next_{worker.state<std::uint32_t>("next")} {}
  bool operator()(Output<Item>& out) {
    if (*next_ == 1000) return false;
    out.push({0, next_.edit()++});
    if (*next_ == 500 && !std::filesystem::exists(service_)) throw Unavailable{"the feed does not answer"};
    return true;
  }

 private:
  std::string service_;
  Recoverable<std::uint32_t> next_;
};

TEST_F(Away, FromASourceMakesItWaitWhereItWas) {
  Pipeline pipeline{"feed"};
  pipeline.source<Feed>("feed", {}, service()).outlet("out");
  Engine engine{pipeline, settings({"restart.budget=0"})};
  engine.start();
  Collector<Item> out{engine, "out"};
  EXPECT_TRUE(eventually([&] { return shows_it(engine, "feed/0"); }));
  EXPECT_TRUE(eventually([&] { return out.count() == 499; })) << "what came before is not held up";
  come_back();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(out.all(), items(1000, 1));
}

TEST_F(Away, IsLeftAtOnceByAStop) {
  Pipeline pipeline{"client"};
  pipeline.inlet<Item>("in").to<Client>("client", {}, service(), Where::handler).outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  std::ignore = engine.inlet<Item>("in").push({});
  EXPECT_TRUE(eventually([&] { return shows_it(engine, "client/0"); }));
  engine.stop();
}

TEST_F(Away, GoesOnForTheReplacementOfAWorkerThatWasKilledMeanwhile) {
  Pipeline pipeline{"client"};
  pipeline.inlet<Item>("in").to<Client>("client", {}, service(), Where::handler).outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<Item> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  std::ignore = in.push({});
  EXPECT_TRUE(eventually([&] { return shows_it(engine, "client/0"); }));
  const auto before = worker_of(engine, "client/0").outside_for;
  EXPECT_TRUE(engine.signal_worker("client/0", SIGKILL));
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "client/0").incarnation == 2; }));
  EXPECT_TRUE(eventually([&] { return shows_it(engine, "client/0"); }));
  EXPECT_GE(worker_of(engine, "client/0").outside_for, before);
  come_back();
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), SizeIs(1));
}

TEST_F(Away, ForLongerThanItsPatienceEndsThePipelineWithTheText) {
  Pipeline pipeline{"client"};
  pipeline.inlet<Item>("in").to<Client>("client", {}, service(), Where::handler).outlet("out");
  Engine engine{pipeline, settings({"stage.client.outside.patience=200ms"})};
  engine.start();
  std::ignore = engine.inlet<Item>("in").push({});
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }),
              AllOf(HasSubstr("client/0"), HasSubstr("does not answer"), HasSubstr("outside.patience")));
}

// Takes one call in the time between two waits, however short that is.
class Limited {
 public:
  explicit Limited(Worker&) {}
  void operator()(const Item& item, Output<Item>& out) {
    if (calls_++ == 1) throw Unavailable{"the service does not answer so often"};
    out.push(item);
  }

 private:
  unsigned calls_ = 0;
};

// Whether it ever waits longer shows in its pauses, too: had they grown to a second each, this would not end in time.
TEST_F(Away, BeginsAnewWithEachCommitHoweverOftenTheServiceIsAwayInBetween) {
  Pipeline pipeline{"limited"};
  pipeline.inlet<Item>("in").to<Limited>("limited", {}).outlet("out");
  Engine engine{pipeline, settings({"stage.limited.outside.patience=1500ms", "restart.budget=0"})};
  engine.start();
  Collector<Item> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(400, 1))
    std::ignore = in.push(item);
  in.close();
  EXPECT_THAT(error_of([&] { EXPECT_TRUE(engine.wait_for(kDeadline)); }), IsEmpty());
  EXPECT_EQ(out.all(), items(400, 1));
}

// Never handles the second event, and one that it is told of a commit by is away: no commit of it makes that anew.
TEST_F(Away, IsNotTakenForBackWhereNothingIsCommitted) {
  class Second {
   public:
    explicit Second(Worker&) {}
    void operator()(const Item& item, Output<Item>& out) const {
      if (item.number == 1) throw Unavailable{"the service knows no second"};
      out.push(item);
    }
  };
  Pipeline pipeline{"second"};
  pipeline.inlet<Item>("in").to<Second>("second", {}).outlet("out");
  Engine engine{pipeline, settings({"stage.second.outside.patience=300ms"})};
  engine.start();
  Collector<Item> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(3, 1))
    std::ignore = in.push(item);
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }),
              AllOf(HasSubstr("second/0"), HasSubstr("outside.patience")));
}

TEST_F(Away, BeginsAnewWhenTheOutsideHasComeFurther) {
  // Says at each try how far the service has come, until that is enough.
  class Steps {
   public:
    Steps(Worker&, const std::string& log) : log_{log} {
      log_line(log_, "tried");
      const std::size_t tries = lines_of(log_).size();
      if (tries < 200) throw Unavailable{"the service takes one at a time", tries};
    }
    void operator()(const Item& item, Output<Item>& out) const { out.push(item); }

   private:
    std::string log_;
  };
  Pipeline pipeline{"steps"};
  pipeline.inlet<Item>("in").to<Steps>("steps", {}, log()).outlet("out");
  EXPECT_THAT(run_processes<Item>(pipeline, items(3, 1), settings({"stage.steps.outside.patience=1500ms"})),
              SizeIs(3));
}

// Calls a service that takes its time, and says so or does not.
class Slow {
 public:
  Slow(Worker& worker, const std::string& go_on, bool declares, std::chrono::milliseconds limit = 1h)
      : worker_{worker}, go_on_{go_on}, declares_{declares}, limit_{limit} {}
  void operator()(const Item& item, Output<Item>& out) const {
    std::optional<OutsideCall> call;
    if (declares_) call.emplace(worker_.outside(limit_));
    while (!std::filesystem::exists(go_on_))
      std::this_thread::sleep_for(5ms);
    out.push(item);
  }

 private:
  Worker& worker_;
  std::string go_on_;
  bool declares_;
  std::chrono::milliseconds limit_;
};

TEST_F(Away, IsNotWhatACallIsThatSaysHowLongItMayTake) {
  Pipeline pipeline{"slow"};
  pipeline.inlet<Item>("in").to<Slow>("slow", {}, service(), true).outlet("out");
  Engine engine{pipeline, settings({"watchdog.deadline=100ms"})};
  engine.start();
  Collector<Item> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  std::ignore = in.push({});
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "slow/0").verdict == "waiting outside"; }));
  std::this_thread::sleep_for(1s);  // Ten deadlines.
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "slow/0").verdict == "waiting outside"; }));
  come_back();
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), SizeIs(1));
  EXPECT_EQ(worker_of(engine, "slow/0").restarts, 0U);
}

// The service takes longer than the call had said: that is told as what it is, and no event is blamed for it.
TEST_F(Away, IsTheCauseOfADeathInACallThatOverrunsWhatItHadSaid) {
  Pipeline pipeline{"slow"};
  pipeline.inlet<Item>("in").to<Slow>("slow", {}, service(), true, 50ms).outlet("out");
  Engine engine{pipeline, settings({"watchdog.deadline=100ms", "poison.attempts=1", "restart.budget=0"})};
  engine.start();
  Collector<Item> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  std::ignore = in.push({});
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "slow/0").restarts >= 2; }));
  EXPECT_EQ(worker_of(engine, "slow/0").last_death, "overran its call outside");
  come_back();
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), SizeIs(1));
  EXPECT_EQ(engine.stats().dead_letters(), 0U);
  EXPECT_THAT(text_of_reports(),
              AllOf(HasSubstr("\"call_outside\":true"), HasSubstr("overran its call outside")));
}

// Each life of the worker asks anew, and hears nothing.
TEST_F(Away, ForLongerThanItsPatienceInCallsThatOverrunEndsThePipelineToo) {
  Pipeline pipeline{"slow"};
  pipeline.inlet<Item>("in").to<Slow>("slow", {}, service(), true, 10ms).outlet("out");
  Engine engine{pipeline, settings({"watchdog.deadline=100ms", "stage.slow.outside.patience=200ms"})};
  engine.start();
  std::ignore = engine.inlet<Item>("in").push({});
  EXPECT_THAT(
      error_of([&] { engine.wait_for(kDeadline); }),
      AllOf(HasSubstr("slow/0"), HasSubstr("took longer than it had said"), HasSubstr("outside.patience")));
  EXPECT_EQ(engine.stats().dead_letters(), 0U);
}

// The host finds what its pipeline waits for in the report as well, and that a drain waits for it.
TEST_F(Away, IsReportedWhenItBeginsAndWhenADrainHasToWaitForIt) {
  Pipeline pipeline{"client"};
  pipeline.inlet<Item>("in").to<Client>("client", {}, service(), Where::handler);
  Engine engine{pipeline, settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  std::ignore = in.push({});
  EXPECT_TRUE(eventually([&] { return text_of_reports().find("\"draining\":false") != std::string::npos; }));
  EXPECT_THAT(text_of_reports(), AllOf(HasSubstr("\"report\":\"waiting outside\""),
                                       HasSubstr("\"worker\":\"client/0\""), HasSubstr("does not answer")));
  engine.begin_drain();
  EXPECT_TRUE(eventually([&] { return text_of_reports().find("\"draining\":true") != std::string::npos; }));
  come_back();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(lines_of(file("reports/deaths.jsonl")), SizeIs(2)) << "each is told once";
}

TEST_F(Away, IsNotDeclaredByAReplacementWhosePredecessorDiedInACall) {
  Pipeline pipeline{"slow"};
  pipeline.inlet<Item>("in").to<Slow>("slow", {}, service(), true).outlet("out");
  Engine engine{pipeline, settings({"watchdog.deadline=20s"})};
  engine.start();
  auto in = engine.inlet<Item>("in");
  std::ignore = in.push({});
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "slow/0").verdict == "waiting outside"; }));
  come_back();
  EXPECT_TRUE(engine.signal_worker("slow/0", SIGKILL));
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "slow/0").verdict == "idle"; }));
  EXPECT_EQ(worker_of(engine, "slow/0").events_in, 1U);
  engine.stop();
}

TEST_F(Away, IsAStallOfACallThatDoesNotSaySo) {
  Pipeline pipeline{"slow"};
  pipeline.inlet<Item>("in").to<Slow>("slow", {}, service(), false).outlet("out");
  Engine engine{pipeline, settings({"watchdog.deadline=100ms", "poison.attempts=1"})};
  engine.start();
  std::ignore = engine.inlet<Item>("in").push({});
  EXPECT_TRUE(eventually([&] { return engine.stats().dead_letters() == 1; }));
  engine.stop();
}

}  // namespace
}  // namespace sluice::test
