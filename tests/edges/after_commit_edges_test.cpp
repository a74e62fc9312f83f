// SPDX-License-Identifier: Apache-2.0
// Worker::after_commit(): what is said there is true for good, whatever dies next, and saying it costs no event.
#include <stdexcept>

#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class AfterCommit : public WithOutside {
 protected:
  // The numbers that lines of this kind carry, in order.
  std::vector<std::uint64_t> numbers_of(const std::string& kind) const {
    std::vector<std::uint64_t> numbers;
    for (const std::string& line : lines_of(log())) {
      if (line.starts_with(kind + " ")) numbers.push_back(std::stoull(line.substr(kind.size() + 1)));
    }
    return numbers;
  }
};

// Says in a log which event it begins with and, after each commit, how many it is done with; and dies of saying so.
class Teller {
 public:
  Teller(Worker& worker, const std::string& log, std::uint32_t copies, std::uint32_t deaths)
      : log_{log}, copies_{copies}, done_{worker.state<std::uint64_t>("done")}, told_{*done_} {
    log_line(log_, "begins " + std::to_string(told_));
    worker.after_commit([this, deaths, &worker](bool whole) {
      if (!whole) log_line(log_, "midst");
      log_line(log_, "done " + std::to_string(told_));
      if (worker.incarnation() <= deaths) ::raise(SIGKILL);
    });
  }
  void operator()(const Item& item, Output<Item>& out) {
    for (std::uint32_t i = 0; i < copies_; ++i)
      out.push({i, item.number});
    ++done_.edit();
    told_ = *done_;  // Behind the pushes: a commit in their midst does not have this event.
  }

 private:
  std::string log_;
  std::uint32_t copies_;
  Recoverable<std::uint64_t> done_;
  std::uint64_t told_;
};

TEST_F(AfterCommit, SaysWhatAReplacementFindsDone) {
  constexpr std::uint32_t kDeaths = 20;
  Pipeline pipeline{"teller"};
  pipeline.inlet<Item>("in").to<Teller>("tell", {}, log(), 1U, kDeaths).outlet("out");
  Settings with = settings({"batch.events=8"});
  EXPECT_THAT(run_processes<Item>(pipeline, items(2000, 1), with), SizeIs(2000));
  const auto lines = lines_of(log());
  std::string last;
  std::uint32_t lives = 0;
  for (const std::string& line : lines) {
    if (line.starts_with("begins ") && lives++ != 0) {
      EXPECT_EQ("done " + line.substr(7), last);
    }
    last = line;
  }
  EXPECT_EQ(lives, kDeaths + 1);
  EXPECT_EQ(numbers_of("done").back(), 2000U) << "the last word is committed behind the last event";
}

TEST_F(AfterCommit, InTheMidstOfAnEventKnowsThoseBeforeIt) {
  constexpr std::uint32_t kCopies = 40;
  constexpr std::uint32_t kDeaths = 5;
  Pipeline pipeline{"teller"};
  pipeline.inlet<Item>("in").to<Teller>("tell", {}, log(), kCopies, kDeaths).to<Echo>("echo").outlet("out");
  Settings with = settings({"stage.echo.lane.slots=64", "lane.slots=1024"});
  EXPECT_THAT(run_processes<Item>(pipeline, items(500, 1), with), SizeIs(500 * kCopies));
  std::string last;
  for (const std::string& line : lines_of(log())) {
    if (line.starts_with("begins ") && !last.empty()) {
      EXPECT_EQ("done " + line.substr(7), last);
    }
    last = line;
  }
  EXPECT_THAT(lines_of(log()), testing::Contains("midst"));
}

// Fails a few times after a commit, in one way or the other.
class Failing {
 public:
  Failing(Worker& worker, const std::string& log, bool away) {
    worker.after_commit([log, away] {
      if (lines_of(log).size() >= 5) return;
      log_line(log, "failed");
      if (away) throw Unavailable{"nobody listens"};
      throw std::runtime_error{"it went wrong"};
    });
  }
  void operator()(const Item& item, Output<Item>& out) { out.push(item); }
};

class AfterCommitFails : public AfterCommit, public testing::WithParamInterface<bool> {};

TEST_P(AfterCommitFails, AndNoEventIsLostDoneTwiceOrBlamed) {
  Pipeline pipeline{"failing"};
  pipeline.inlet<Item>("in").to<Failing>("fail", {}, log(), GetParam()).outlet("out");
  std::uint64_t dead = 0;
  const auto out =
      run_processes<Item>(pipeline, items(1000, 1), settings({"poison.attempts=1", "batch.events=4"}),
                          [&dead](Engine& engine, std::size_t) { dead = engine.stats().dead_letters(); });
  EXPECT_EQ(out, items(1000, 1));
  EXPECT_EQ(dead, 0U);
  EXPECT_THAT(lines_of(log()), SizeIs(5));
}

INSTANTIATE_TEST_SUITE_P(By, AfterCommitFails, testing::Bool(),
                         [](const auto& away) { return away.param ? "Unavailable" : "AnException"; });

// Cannot do with number 7: it throws, is refused or crashes.
class NotSeven {
 public:
  NotSeven(Worker& worker, const std::string& log, int way) : way_{way} {
    worker.after_commit([log] { log_line(log, "committed"); });
  }
  void operator()(const Item& item, Output<Item>& out) const {
    if (item.number == 7 && way_ == 0) throw std::runtime_error{"not seven"};
    if (item.number == 7 && way_ == 1) throw Refused{"not seven"};
    if (item.number == 7) ::raise(SIGSEGV);
    out.push(item);
  }

 private:
  int way_;
};

class AfterCommitOfOthers : public AfterCommit, public testing::WithParamInterface<int> {};

TEST_P(AfterCommitOfOthers, AnEventThatFailsIsBlamedAsEver) {
  Pipeline pipeline{"seven"};
  pipeline.inlet<Item>("in").to<NotSeven>("not-seven", {}, log(), GetParam()).outlet("out");
  EXPECT_THAT(run_processes<Item>(pipeline, items(100, 1), settings({"poison.attempts=2"})), SizeIs(99));
  EXPECT_THAT(find_dead_letters(file("reports")), SizeIs(1));
  EXPECT_FALSE(lines_of(log()).empty());
}

INSTANTIATE_TEST_SUITE_P(A, AfterCommitOfOthers, testing::Range(0, 3));

// Source that waits after each number: what it made is committed, and said, before the wait and not after it.
class TellsAndWaits {
 public:
  TellsAndWaits(Worker& worker, const std::string& log)
      : worker_{worker}, next_{worker.state<std::uint32_t>("next")} {
    worker.after_commit([this, log] { log_line(log, "done " + std::to_string(made_)); });
  }
  SourceState operator()(Output<Item>& out) {
    if (*next_ == 3) {
      worker_.wait_for(1h);
      return SourceState::nothing_now;
    }
    out.push({0, *next_});
    made_ = ++next_.edit();
    return SourceState::more;
  }

 private:
  Worker& worker_;
  Recoverable<std::uint32_t> next_;
  std::uint32_t made_ = 0;
};

TEST_F(AfterCommit, OfASourceThatWaitsComesBeforeTheWait) {
  Pipeline pipeline{"waits"};
  pipeline.source<TellsAndWaits>("wait", {}, log()).outlet("out");
  Engine engine{pipeline, settings({"batch.linger=1h"})};
  engine.start();
  Collector<Item> out{engine, "out"};
  EXPECT_TRUE(eventually([&] {
    const auto done = numbers_of("done");
    return !done.empty() && done.back() == 3;
  }));
  engine.drain();
  EXPECT_THAT(out.all(), SizeIs(3));
}

class Outputs : public WithOutside {};

TEST_F(Outputs, SayHowLongARecordTheirSmallestLaneTakes) {
  class Longest {
   public:
    SourceState operator()(Output<Bytes>& out) {
      const std::string longest(out.most_body_bytes(), 'x');
      out.push(longest);
      EXPECT_THROW(out.push(longest + "x"), Error);
      return SourceState::end;
    }
  };
  Pipeline pipeline{"longest"};
  pipeline.source<Longest>("make").to<EchoBytes>("echo").outlet("out");
  const InlineRun run = run_inline(pipeline, settings({"lane.bytes=16KiB", "stage.echo.lane.bytes=4KiB"}));
  EXPECT_THAT(run.events<Bytes>("out"), testing::ElementsAre(SizeIs(4096 - 8)));
}

}  // namespace
}  // namespace sluice::test
