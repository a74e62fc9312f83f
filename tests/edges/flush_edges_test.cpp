// SPDX-License-Identifier: Apache-2.0
// Worker::before_commit(): what a flush is told, when it runs and when it never does, and whose its failure is.
#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <stdexcept>

#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

class Flush : public WithOutside {};

// Collects numbers and writes them outside with each commit; says there what it was told.
class Shelf {
 public:
  Shelf(Worker& worker, const std::string& log) : log_{log} {
    worker.before_commit([this, &worker](std::span<const Covered> covered) {
      for (const Covered& lane : covered) {
        log_line(log_, "covers " + std::to_string(lane.first.lane()) + " " +
                           std::to_string(lane.first.position) + " " + std::to_string(lane.end));
      }
      for (const std::uint32_t number : ready_)
        log_line(log_, "stored " + std::to_string(number));
      ready_.clear();
      if (worker.incarnation() <= 5) ::raise(SIGKILL);
    });
  }
  void operator()(const Item& item, Output<Item>& out) {
    ready_.push_back(item.number);
    out.push(item);
  }

 private:
  std::string log_;
  std::vector<std::uint32_t> ready_;
};

struct Range {
  std::string lane;
  std::uint64_t from = 0;
  std::uint64_t to = 0;
};

std::vector<Range> ranges_in(const std::string& log) {
  std::vector<Range> ranges;
  for (const std::string& line : lines_of(log)) {
    std::istringstream words{line};
    std::string what;
    Range range;
    if (words >> what >> range.lane >> range.from >> range.to && what == "covers") ranges.push_back(range);
  }
  return ranges;
}

std::set<std::string> stored_in(const std::string& log) {
  std::set<std::string> stored;
  for (const std::string& line : lines_of(log)) {
    if (line.starts_with("stored ")) stored.insert(line.substr(7));
  }
  return stored;
}

TEST_F(Flush, IsToldForEachLaneWhichPositionsTheCommitCovers) {
  constexpr std::uint32_t kItems = 3000;
  Pipeline pipeline{"covered"};
  pipeline.inlet<Item>("in").to<Echo>("echo", {.workers = 2}).to<Shelf>("store", {}, log()).outlet("out");
  EXPECT_THAT(run_processes<Item>(pipeline, items(kItems, 1), settings()), SizeIs(kItems));
  std::map<std::string, std::uint64_t> covered;
  for (const Range& range : ranges_in(log())) {
    std::uint64_t& until = covered[range.lane];
    EXPECT_LE(range.from, until) << "something was left out";
    EXPECT_LT(range.from, range.to);
    until = std::max(until, range.to);
  }
  EXPECT_EQ(covered["0"] + covered["1"], kItems * sizeof(Item));
  EXPECT_EQ(covered["1023"], 1U) << "the last word is a portion of its own";
  EXPECT_THAT(stored_in(log()), SizeIs(kItems));
}

TEST_F(Flush, OfASourceIsToldItsCalls) {
  class Source {
   public:
    Source(Worker& worker, const std::string& log) : next_{worker.state<std::uint32_t>("next")} {
      worker.before_commit([log](std::span<const Covered> covered) {
        for (const Covered& lane : covered)
          log_line(log, "covers " + std::to_string(lane.first.lane()) + " " +
                            std::to_string(lane.first.position) + " " + std::to_string(lane.end));
      });
    }
    bool operator()(Output<Item>& out) {
      if (*next_ == 1000) return false;
      out.push({0, next_.edit()++});
      return true;
    }

   private:
    Recoverable<std::uint32_t> next_;
  };
  Pipeline pipeline{"calls"};
  pipeline.source<Source>("read", {}, log()).outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<Item> out{engine, "out"};
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), SizeIs(1000));
  std::uint64_t next = 0;
  for (const Range& range : ranges_in(log())) {
    if (range.lane != "0") continue;
    EXPECT_EQ(range.from, next);
    next = range.to;
  }
  EXPECT_EQ(next, 1000U);
}

// Stores numbers, and throws at one of them after it has made it ready.
class Picky {
 public:
  Picky(Worker& worker, const std::string& log) : shelf_{worker, log} {}
  void operator()(const Item& item, Output<Item>& out) {
    shelf_(item, out);
    if (item.number == 700) throw std::runtime_error{"not this one"};
  }

 private:
  Shelf shelf_;
};

TEST_F(Flush, NeverRunsForAnEventThatThrew) {
  Pipeline pipeline{"picky"};
  pipeline.inlet<Item>("in").to<Picky>("picky", {}, log()).outlet("out");
  EXPECT_THAT(run_processes<Item>(pipeline, items(2000, 1), settings({"poison.attempts=2"})), SizeIs(1999));
  const std::set<std::string> stored = stored_in(log());
  EXPECT_THAT(stored, SizeIs(1999));
  EXPECT_THAT(stored, Not(Contains("700")));
}

TEST_F(Flush, NeverRunsForAnEventThatThrewWithoutProcesses) {
  class Thrower {
   public:
    Thrower(Worker& worker, const std::string& log) : log_{log} {
      worker.before_commit([this] {
        for (const std::uint32_t number : ready_)
          log_line(log_, "stored " + std::to_string(number));
        ready_.clear();
      });
    }
    void operator()(const Item& item, Output<Item>& out) {
      ready_.push_back(item.number);
      out.push(item);
      if (item.number == 5) throw std::runtime_error{"not this one"};
    }

   private:
    std::string log_;
    std::vector<std::uint32_t> ready_;
  };
  Pipeline pipeline{"inline"};
  pipeline.inlet<Item>("in").to<Thrower>("thrower", {}, log()).outlet("out");
  InlineRun run{pipeline};
  for (const Item& item : items(10, 1))
    run.push("in", item);
  EXPECT_THROW(run.run(), std::runtime_error);
  EXPECT_THAT(stored_in(log()), SizeIs(5));
  EXPECT_THAT(run.events<Item>("out"), SizeIs(5)) << "what was stored is committed";
}

// Makes many items of one, and says when it is flushed in their midst.
class Wordy {
 public:
  Wordy(Worker& worker, const std::string& log, std::uint32_t many) : many_{many} {
    worker.before_commit([this, log] {
      if (in_the_midst_) log_line(log, "in the midst");
      for (const std::uint32_t number : ready_)
        log_line(log, "stored " + std::to_string(number));
      ready_.clear();
    });
  }
  void operator()(const Item& item, Output<Item>& out) {
    in_the_midst_ = true;
    for (std::uint32_t i = 0; i < many_; ++i) {
      try {
        out.push({item.key, item.number * many_ + i});
      } catch (const Error&) {
        throw;
      } catch (...) {
        // A handler that swallows what is none of its business loses nothing.
      }
    }
    ready_.push_back(item.number);
    in_the_midst_ = false;
  }

 private:
  std::uint32_t many_;
  bool in_the_midst_ = false;
  std::vector<std::uint32_t> ready_;
};

class FlushOfMany : public Flush, public testing::WithParamInterface<std::uint32_t> {};

TEST_P(FlushOfMany, NeverRunsInTheMidstOfAnEventHoweverMuchItMakes) {
  // The lane into the stage behind holds 512 items.
  const std::uint32_t many = GetParam();
  const std::uint32_t count = 20'000 / many;
  Pipeline pipeline{"wordy"};
  pipeline.inlet<Item>("in").to<Wordy>("wordy", {}, log(), many).to<Echo>("echo").outlet("out");
  const Settings with = settings({"stage.echo.lane.slots=512"});
  std::vector<Item> expected = items(count * many, 1);
  EXPECT_EQ(run_processes<Item>(pipeline, items(count, 1), with), expected);
  EXPECT_THAT(lines_of(log()), Not(Contains("in the midst")));
  EXPECT_THAT(stored_in(log()), SizeIs(count));
}

INSTANTIATE_TEST_SUITE_P(Outputs, FlushOfMany, testing::Values(1U, 100U, 300U, 500U));

TEST_F(Flush, OfAnEventThatMakesMoreThanItsLaneHoldsIsNeverTried) {
  Pipeline pipeline{"wordy"};
  pipeline.inlet<Item>("in").to<Wordy>("wordy", {}, log(), 513U).to<Echo>("echo").outlet("out");
  Engine engine{pipeline, settings({"stage.echo.lane.slots=512", "oversize=stop"})};
  engine.start();
  std::ignore = engine.inlet<Item>("in").push({});
  EXPECT_THAT(error_of([&] { engine.wait_for(kDeadline); }), HasSubstr("stage.echo.lane.slots"));
  EXPECT_THAT(lines_of(log()), SizeIs(0));
}

// Asks for its flush when it has something to store, in each of its processes.
class LateShelf {
 public:
  LateShelf(Worker& worker, std::string log) : worker_{worker}, log_{std::move(log)} {}
  void operator()(const Item& item, Output<Item>& out) {
    if (!asked_) worker_.before_commit([this] { store(); });
    asked_ = true;
    ready_.push_back(item.number);
    out.push(item);
  }

 private:
  void store() {
    for (const std::uint32_t number : ready_)
      log_line(log_, "stored " + std::to_string(number));
    ready_.clear();
    if (worker_.incarnation() <= 5) ::raise(SIGKILL);
  }

  Worker& worker_;
  std::string log_;
  bool asked_ = false;
  std::vector<std::uint32_t> ready_;
};

TEST_F(Flush, ThatIsAskedForInACallRunsBeforeTheCommitOfThatCall) {
  Pipeline pipeline{"late"};
  pipeline.inlet<Item>("in").to<LateShelf>("shelf", {}, log()).outlet("out");
  EXPECT_EQ(run_processes<Item>(pipeline, items(2000, 1), settings()), items(2000, 1));
  EXPECT_THAT(stored_in(log()), SizeIs(2000));
}

// Stores all of a batch or none of it, and can never store number 700.
class Refused {
 public:
  Refused(Worker& worker, const std::string& log) {
    worker.before_commit([this, log] {
      if (std::find(ready_.begin(), ready_.end(), 700) != ready_.end())
        throw std::runtime_error{"the store will not have it"};
      for (const std::uint32_t number : ready_)
        log_line(log, "stored " + std::to_string(number));
      ready_.clear();
    });
  }
  void operator()(const Item& item, Output<Item>& out) {
    ready_.push_back(item.number);
    out.push(item);
  }

 private:
  std::vector<std::uint32_t> ready_;
};

TEST_F(Flush, ThatFailsIsDoneAgainEventByEventSoThatNoOtherEventIsBlamed) {
  Pipeline pipeline{"refused"};
  pipeline.inlet<Item>("in").to<Refused>("refused", {}, log()).outlet("out");
  std::uint64_t dead = 0;
  const auto out = run_processes<Item>(pipeline, items(2000, 1), settings({"poison.attempts=2"}),
                                       [&dead](Engine& engine, std::size_t pushed) {
                                         if (pushed != 2000) return;
                                         EXPECT_TRUE(eventually([&] {
                                           dead = engine.stats().dead_letters();
                                           return dead != 0;
                                         }));
                                       });
  EXPECT_THAT(out, SizeIs(1999));
  EXPECT_EQ(dead, 1U);
  const std::vector<DeadLetter> letters = find_dead_letters(file("reports"));
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters[0].position, 700 * sizeof(Item));
  EXPECT_THAT(letters[0].cause, HasSubstr("the store will not have it"));
  EXPECT_THAT(stored_in(log()), SizeIs(1999));
}

// Is killed from outside, so to say, in its first flush; says how many events each is of.
class KilledInItsFlush {
 public:
  KilledInItsFlush(Worker& worker, const std::string& log) {
    worker.before_commit([this, &worker, log] {
      log_line(log, std::to_string(std::exchange(events_, 0)));
      if (worker.incarnation() == 1) ::raise(SIGKILL);
    });
  }
  void operator()(const Item&) { ++events_; }

 private:
  int events_ = 0;
};

TEST_F(Flush, ThatAKillFromOutsideCutOffIsNotDoneAgainEventByEvent) {
  Pipeline pipeline{"killed"};
  pipeline.inlet<Item>("in").to<KilledInItsFlush>("store", {}, log());
  Engine engine{pipeline, settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  // One look at the lane finds all of them.
  ASSERT_EQ(in.push_batch(items(100, 1)), PushResult::accepted);
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  const std::vector<std::string> flushes = lines_of(log());
  ASSERT_GE(flushes.size(), 2U);
  EXPECT_EQ(flushes[0], "100");
  EXPECT_EQ(flushes[1], "100");
}

}  // namespace
}  // namespace sluice::test
