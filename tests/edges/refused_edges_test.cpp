// SPDX-License-Identifier: Apache-2.0
// sluice::Refused: an event that the outside refuses for good is a dead letter at once, and nothing else changes.
#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class Refusal : public WithOutside {
 protected:
  std::vector<DeadLetter> letters() const {
    return std::filesystem::exists(file("reports")) ? find_dead_letters(file("reports"))
                                                    : std::vector<DeadLetter>{};
  }
};

bool is_refused(std::uint32_t number) {
  return number % 100 == 7;
}

// Refuses some in its handler, after it has changed its state and pushed.
class Clerk {
 public:
  explicit Clerk(Worker& worker) : count_{worker.state<std::uint32_t>("count")} {}
  void operator()(const Item& item, Output<Item>& out) {
    ++count_.edit();
    out.push({*count_, item.number});
    if (is_refused(item.number)) throw Refused{"number " + std::to_string(item.number) + " is taken"};
  }

 private:
  Recoverable<std::uint32_t> count_;
};

TEST_F(Refusal, InAHandlerMakesADeadLetterAtOnceAndUndoesTheEvent) {
  constexpr std::uint32_t kItems = 1000;
  Pipeline pipeline{"refused"};
  pipeline.inlet<Item>("in").to<Clerk>("clerk").outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<Item> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  for (std::uint32_t number = 0; number < kItems; ++number)
    ASSERT_EQ(in.push({0, number}), PushResult::accepted);
  in.close();
  engine.wait();
  const std::vector<Item> all = out.all();
  ASSERT_THAT(all, SizeIs(kItems - 10));
  for (std::uint32_t i = 0; i < all.size(); ++i)
    ASSERT_EQ(all[i].key, i + 1) << "the state of a refused event was kept";
  const std::vector<DeadLetter> refused = letters();
  ASSERT_THAT(refused, SizeIs(10));
  EXPECT_EQ(refused[0].cause, "refused: number 7 is taken");
  EXPECT_EQ(refused[0].attempts, 1U);
  EXPECT_EQ(worker_of(engine, "clerk/0").restarts, 0U) << "a process died for it";
  EXPECT_EQ(worker_of(engine, "clerk/0").dead_letters, 10U);
}

// Names in its flush those that are refused; logs the rest.
class Ledger {
 public:
  Ledger(Worker& worker, const std::string& log) : worker_{worker} {
    worker.before_commit([this, log] {
      std::vector<RefusedEvent> refused;
      for (const auto& [id, number] : ready_) {
        if (is_refused(number)) refused.push_back({id, "number " + std::to_string(number) + " is taken"});
      }
      if (!refused.empty()) throw Refused{std::move(refused)};
      for (const auto& [id, number] : ready_)
        log_line(log, std::to_string(number));
      ++flushes_;
      ready_.clear();
    });
  }
  void operator()(const Item& item, Output<Item>& out) {
    ready_.emplace_back(worker_.event_id(), item.number);
    out.push(item);
  }

 private:
  Worker& worker_;
  std::vector<std::pair<EventId, std::uint32_t>> ready_;
  int flushes_ = 0;
};

TEST_F(Refusal, InAFlushTakesOutTheEventsThatItNames) {
  constexpr std::uint32_t kItems = 1000;
  Pipeline pipeline{"refused"};
  pipeline.inlet<Item>("in").to<Ledger>("store", {}, log()).outlet("out");
  EXPECT_THAT(run_processes<Item>(pipeline, items(kItems, 1), settings()), SizeIs(kItems - 10));
  std::vector<std::string> expected;
  for (std::uint32_t number = 0; number < kItems; ++number) {
    if (!is_refused(number)) expected.push_back(std::to_string(number));
  }
  EXPECT_EQ(lines_of(log()), expected) << "each once, and in order";
  EXPECT_THAT(letters(), SizeIs(10));
}

TEST_F(Refusal, IsCoveredByAFlushOfItsOwn) {
  class Watermark {
   public:
    Watermark(Worker& worker, const std::string& log) : worker_{worker} {
      worker.before_commit([this, log](std::span<const Covered> covered) {
        std::vector<RefusedEvent> refused;
        for (const auto& [id, number] : ready_) {
          if (is_refused(number)) refused.push_back({id, "taken"});
        }
        if (!refused.empty()) throw Refused{std::move(refused)};
        for (const Covered& lane : covered)
          log_line(log, std::to_string(lane.first.position) + " " + std::to_string(lane.end));
        ready_.clear();
      });
    }
    void operator()(const Item& item) { ready_.emplace_back(worker_.event_id(), item.number); }

   private:
    Worker& worker_;
    std::vector<std::pair<EventId, std::uint32_t>> ready_;
  };
  Pipeline pipeline{"alone"};
  pipeline.inlet<Item>("in").to<Echo>("echo", {.workers = 2}).to<Watermark>("store", {}, log());
  Engine engine{pipeline, settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  for (std::uint32_t number = 0; number < 2000; ++number)
    ASSERT_EQ(in.push({0, number}), PushResult::accepted);
  in.close();
  engine.wait();
  // In turn to two workers: each has every other number, and those refused are all with one of them.
  std::size_t alone = 0;
  for (const std::string& line : lines_of(log())) {
    std::istringstream words{line};
    std::uint64_t from = 0;
    std::uint64_t to = 0;
    words >> from >> to;
    if (to - from == sizeof(Item)) ++alone;
  }
  EXPECT_GE(alone, 20U);
  EXPECT_THAT(letters(), SizeIs(20));
}

// Says in a flush that something is refused, not what.
class Vague {
 public:
  Vague(Worker& worker, const std::string& log) {
    worker.before_commit([this, log] {
      if (std::any_of(ready_.begin(), ready_.end(), is_refused)) throw Refused{"something is taken"};
      for (const std::uint32_t number : ready_)
        log_line(log, std::to_string(number));
      ready_.clear();
    });
  }
  void operator()(const Item& item) { ready_.push_back(item.number); }

 private:
  std::vector<std::uint32_t> ready_;
};

TEST_F(Refusal, InAFlushThatNamesNoneIsFoundOneByOne) {
  Pipeline pipeline{"vague"};
  pipeline.inlet<Item>("in").to<Vague>("store", {}, log());
  Engine engine{pipeline, settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  for (std::uint32_t number = 0; number < 300; ++number)
    ASSERT_EQ(in.push({0, number}), PushResult::accepted);
  in.close();
  engine.wait();
  EXPECT_THAT(lines_of(log()), SizeIs(297));
  EXPECT_THAT(letters(), SizeIs(3));
}

std::string end_of(const Pipeline& pipeline, const Settings& settings, std::uint32_t items) {
  Engine engine{pipeline, settings};
  engine.start();
  auto in = engine.inlet<Item>("in");
  for (std::uint32_t number = 0; number < items; ++number) {
    if (in.push({0, number}) != PushResult::accepted) break;
  }
  in.close();
  return error_of([&] { engine.wait(); });
}

class RefusesAll {
 public:
  void operator()(const Item&) { throw Refused{"no such table"}; }
};

// Names an event that is not of its batch.
enum class Foreign { of_another_stage, done_long_ago, still_to_come };
class Mistaken {
 public:
  Mistaken(Worker& worker, Foreign foreign) : worker_{worker} {
    worker.before_commit([this, foreign](std::span<const Covered> covered) {
      EventId id = covered[0].first;
      if (foreign == Foreign::of_another_stage)
        id.origin ^= std::uint64_t{1} << (EventId::kLaneBits + EventId::kReplicaBits);
      if (foreign == Foreign::done_long_ago) id.position -= sizeof(Item);
      if (foreign == Foreign::still_to_come) id.position += std::uint64_t{1} << 40U;
      if (++flushes_ > 1) throw Refused{{{id, "it is taken"}}};
    });
  }
  void operator()(const Item& item, Output<Item>& out) const { out.push(item); }

 private:
  Worker& worker_;
  int flushes_ = 0;
};

TEST_F(Refusal, OfAnEventThatIsNoneOfTheBatchEndsThePipelineAndMovesNothing) {
  for (const Foreign foreign : {Foreign::of_another_stage, Foreign::done_long_ago, Foreign::still_to_come}) {
    Pipeline pipeline{"refused"};
    pipeline.inlet<Item>("in").to<Mistaken>("store", {}, foreign).outlet("out");
    EXPECT_THAT(error_of([&] { run_processes<Item>(pipeline, items(1000, 1), settings()); }),
                HasSubstr("which is none of its batch (it is taken)"));
    EXPECT_THAT(letters(), IsEmpty());
  }
}

TEST_F(Refusal, OfMoreThanTheBudgetEndsThePipelineWithTheText) {
  Pipeline pipeline{"all"};
  pipeline.inlet<Item>("in").to<RefusesAll>("store");
  const std::string end = end_of(pipeline, settings({"poison.budget=20", "restart.window=1h"}), 100);
  EXPECT_THAT(end, HasSubstr("no such table"));
  EXPECT_THAT(end, HasSubstr("poison.budget"));
  EXPECT_THAT(letters(), SizeIs(20));
}

TEST_F(Refusal, WhereNoEventIsMovedEndsThePipelineAndKeepsTheEvent) {
  Pipeline pipeline{"none"};
  pipeline.inlet<Item>("in").to<RefusesAll>("store");
  const std::string end = end_of(pipeline, settings({"poison.attempts=0"}), 1);
  EXPECT_THAT(end, HasSubstr("no such table"));
  EXPECT_THAT(end, HasSubstr("poison.attempts"));
  EXPECT_THAT(letters(), IsEmpty());
}

TEST_F(Refusal, OfALastWordEndsThePipeline) {
  class LastWord {
   public:
    void operator()(const Item&) {}
    void finish() { throw Refused{"too late"}; }
  };
  Pipeline pipeline{"last"};
  pipeline.inlet<Item>("in").to<LastWord>("store");
  EXPECT_THAT(end_of(pipeline, settings(), 1), HasSubstr("too late"));
}

TEST_F(Refusal, IsKeptByAWorkerThatIsKilledMeanwhile) {
  class KilledClerk {
   public:
    explicit KilledClerk(Worker& worker) : clerk_{worker}, worker_{worker} {}
    void operator()(const Item& item, Output<Item>& out) {
      // Between the refusal and its commit, too: the loop that moves it has a new handler.
      if (worker_.incarnation() < 10 && item.number % 50 == 8) ::raise(SIGKILL);
      clerk_(item, out);
    }

   private:
    Clerk clerk_;
    Worker& worker_;
  };
  Pipeline pipeline{"killed"};
  pipeline.inlet<Item>("in").to<KilledClerk>("clerk").outlet("out");
  EXPECT_THAT(run_processes<Item>(pipeline, items(1000, 1), settings({"poison.attempts=20"})), SizeIs(990));
  EXPECT_THAT(letters(), SizeIs(10));
}

}  // namespace
}  // namespace sluice::test
