// SPDX-License-Identifier: Apache-2.0
// Handlers that take many events at once, and one among these that they cannot bear: the span is cut in halves until that
// event stands alone, which becomes a dead letter, and all others take effect exactly once.

#include <csignal>
#include <cstring>
#include <set>
#include <span>
#include <vector>

#include <sluice/dead_letter.hpp>

#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::SizeIs;

constexpr std::uint32_t kSpan = 2048;
constexpr std::uint32_t kBad = 1234;

enum class Fault { signal, exception, stall, refused };

struct Faulty {
  Fault fault;
  const char* name;
  std::uint64_t restarts;  // Of one bad event of kSpan: eleven halves, and three attempts.
  const char* cause;
};

constexpr Faulty kFaults[] = {{Fault::signal, "Signal", 14, "signal 11"},
                              {Fault::exception, "Exception", 14, "not for me"},
                              {Fault::stall, "Stall", 14, "watchdog ended it"},
                              {Fault::refused, "Refused", 0, "refused: not wanted"}};

volatile bool hangs = true;

void fail_by(Fault fault) {
  switch (fault) {
    case Fault::signal:
      std::raise(SIGSEGV);
      break;
    case Fault::exception:
      throw std::runtime_error{"not for me"};
    case Fault::stall:
      while (hangs) {
      }
      break;
    case Fault::refused:
      throw Refused{"not wanted"};
  }
}

// Counts in its state, and tells each item, how long its span was, and the count. It fails once it has done its work on
// the whole span.
class ManyAtOnce {
 public:
  ManyAtOnce(Worker& worker, Fault fault, std::set<std::uint32_t> bad)
      : seen_{worker.state<std::uint32_t>("seen")}, fault_{fault}, bad_{std::move(bad)} {}
  void operator()(std::span<const Item> items, Output<Counted>& out) {
    bool fails = false;
    for (const Item& item : items) {
      out.push({item, static_cast<std::uint32_t>(items.size()), seen_.edit()++});
      fails = fails || bad_.contains(item.number);
    }
    if (fails) fail_by(fault_);
  }

 private:
  Recoverable<std::uint32_t> seen_;
  Fault fault_;
  std::set<std::uint32_t> bad_;
};

class Spans : public WithProcesses {
 protected:
  Spans() {
    settings_.set("report.path", directory_.string());
    settings_.set("batch.events", std::to_string(kSpan));
    settings_.set("lane.slots", "8192");
  }
  ~Spans() override { clear_away(directory_); }

  // The items of a stage that is fed all of them at once; `bad` of them are missing.
  std::vector<Counted> run(const Pipeline& pipeline, const std::vector<Item>& sent) {
    Engine engine{pipeline, settings_};
    engine.start();
    Collector<Counted> out{engine, "out"};
    auto in = engine.inlet<Item>("in");
    EXPECT_EQ(in.push_batch(sent), PushResult::accepted);
    in.close();
    EXPECT_TRUE(engine.wait_for(kDeadline));
    worker_ = worker_of(engine, "many/0");
    return out.all();
  }

  static void expect_all_but(const std::set<std::uint32_t>& bad, const std::vector<Item>& sent,
                             const std::vector<Counted>& got) {
    std::vector<Item> expected;
    for (const Item& item : sent) {
      if (!bad.contains(item.number)) expected.push_back(item);
    }
    std::vector<Item> items;
    std::uint32_t longest = 0;
    for (const Counted& counted : got) {
      EXPECT_EQ(counted.nth, items.size());  // The state has seen each of them once.
      items.push_back(counted.item);
      longest = std::max(longest, counted.replica);
    }
    EXPECT_THAT(items, ElementsAreArray(expected));
    EXPECT_GT(longest, 1U);
  }

  std::filesystem::path directory_{std::filesystem::temp_directory_path() /
                                   ("sluice-span-" + std::to_string(::getpid()))};
  Settings settings_ = test_settings();
  WorkerStats worker_;
};

class SpanPoison : public Spans, public testing::WithParamInterface<Faulty> {};

TEST_P(SpanPoison, OneBadEventOfManyIsFoundAndAllOthersTakeEffectOnce) {
  const Faulty& faulty = GetParam();
  settings_.set("restart.budget", "0");  // Halves and attempts are not charged to it.
  if (faulty.fault == Fault::stall) settings_.set("watchdog.deadline", "200ms");
  Pipeline pipeline{"spans"};
  pipeline.inlet<Item>("in").to<ManyAtOnce>("many", faulty.fault, std::set{kBad}).outlet("out");
  const std::vector<Item> sent = items(kSpan, 1);
  expect_all_but({kBad}, sent, run(pipeline, sent));
  EXPECT_EQ(worker_.restarts, faulty.restarts);
  EXPECT_EQ(worker_.events_in, sent.size());
  EXPECT_EQ(worker_.dead_letters, 1U);
  const std::vector<DeadLetter> letters = find_dead_letters(directory_);
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters.front().position, kBad * sizeof(Item));
  EXPECT_THAT(letters.front().cause, HasSubstr(faulty.cause));
  Item item;
  ASSERT_EQ(letters.front().payload.size(), sizeof(item));
  std::memcpy(&item, letters.front().payload.data(), sizeof(item));
  EXPECT_EQ(item, (Item{0, kBad}));
}

INSTANTIATE_TEST_SUITE_P(EveryFault, SpanPoison, testing::ValuesIn(kFaults),
                         [](const auto& info) { return std::string{info.param.name}; });

class SeveralInSpans : public SpanPoison {};

TEST_P(SeveralInSpans, BadEventsAreFoundOneByOne) {
  const Faulty& faulty = GetParam();
  const std::set<std::uint32_t> bad{0, 700, 701, 4095};
  Pipeline pipeline{"spans"};
  pipeline.inlet<Item>("in").to<ManyAtOnce>("many", faulty.fault, bad).outlet("out");
  const std::vector<Item> sent = items(2 * kSpan, 1);
  expect_all_but(bad, sent, run(pipeline, sent));
  EXPECT_THAT(find_dead_letters(directory_), SizeIs(bad.size()));
}

INSTANTIATE_TEST_SUITE_P(QuickFaults, SeveralInSpans, testing::Values(kFaults[0], kFaults[3]),
                         [](const auto& info) { return std::string{info.param.name}; });

class SpanThatDoesNotFit : public Spans {};

// Each item is a row of its own, and half of the undo log is for one event.
class Rows {
 public:
  explicit Rows(Worker& worker) : rows_{worker.table<std::uint32_t, std::uint32_t>("rows", kSpan)} {}
  void operator()(std::span<const Item> items, Output<Counted>& out) {
    for (const Item& item : items) {
      const auto nth = static_cast<std::uint32_t>(rows_.size());
      rows_[item.number] = nth;
      out.push({item, static_cast<std::uint32_t>(items.size()), nth});
    }
  }

 private:
  Table<std::uint32_t, std::uint32_t> rows_;
};

TEST_F(SpanThatDoesNotFit, IntoTheUndoLogIsDoneInHalves) {
  Pipeline pipeline{"spans"};
  pipeline.inlet<Item>("in").to<Rows>("many", {.undo_bytes = 16384}).outlet("out");
  const std::vector<Item> sent = items(kSpan, 1);
  expect_all_but({}, sent, run(pipeline, sent));
  EXPECT_EQ(worker_.restarts, 0U);
  EXPECT_EQ(worker_.dead_letters, 0U);
}

TEST_F(SpanThatDoesNotFit, IntoTheLaneBehindIsDoneInHalves) {
  settings_.set("stage.drop.lane.slots", "64");
  Pipeline pipeline{"spans"};
  pipeline.inlet<Item>("in")
      .to<ManyAtOnce>("many", Fault::refused, std::set<std::uint32_t>{})
      .to("drop", [](const Counted& counted, Output<Counted>& out) { out.push(counted); })
      .outlet("out");
  const std::vector<Item> sent = items(kSpan, 1);
  expect_all_but({}, sent, run(pipeline, sent));
  EXPECT_EQ(worker_.restarts, 0U);
  EXPECT_EQ(worker_.dead_letters, 0U);
}

// A handler that bears no span at all is not replaced for ever.
struct OneOnly {
  void operator()(std::span<const Item> items, Output<Counted>& out) const {
    if (items.size() > 1) throw std::runtime_error{"one only"};
    out.push({items.front(), 1, 0});
  }
};

TEST_F(SpanThatDoesNotFit, ByItsHandlerAtAllSpendsTheBudgetOfLetters) {
  settings_.set("poison.budget", "2");
  settings_.set("batch.events", "64");
  Pipeline pipeline{"spans"};
  pipeline.inlet<Item>("in").to<OneOnly>("many").outlet("out");
  Engine engine{pipeline, settings_};
  engine.start();
  auto in = engine.inlet<Item>("in");
  ASSERT_EQ(in.push_batch(items(kSpan, 1)), PushResult::accepted);
  in.close();
  EXPECT_THROW(engine.wait_for(kDeadline), Error);
}

// A flush that refuses an item, of a batch of spans.
class Store {
 public:
  explicit Store(Worker& worker) : worker_{worker} {
    worker.before_commit([this] {
      for (const std::uint32_t number : pending_) {
        if (number == kBad) {
          pending_.clear();
          throw std::runtime_error{"not for me"};
        }
      }
      pending_.clear();
    });
  }
  void operator()(std::span<const Item> items, Output<Counted>& out) {
    // The id is that of the first; the others follow at their distance.
    const std::uint64_t first = worker_.event_id().position / sizeof(Item);
    for (std::size_t i = 0; i < items.size(); ++i) {
      pending_.push_back(items[i].number);
      out.push({items[i], static_cast<std::uint32_t>(items.size()), static_cast<std::uint32_t>(first + i)});
    }
  }

 private:
  Worker& worker_;
  std::vector<std::uint32_t> pending_;
};

TEST_F(SpanThatDoesNotFit, IntoAFlushIsFlushedOneByOne) {
  Pipeline pipeline{"spans"};
  pipeline.inlet<Item>("in").to<Store>("many").outlet("out");
  const std::vector<Item> sent = items(kSpan, 1);
  const std::vector<Counted> got = run(pipeline, sent);
  EXPECT_THAT(got, SizeIs(kSpan - 1));
  for (const Counted& counted : got) {
    EXPECT_EQ(counted.nth, counted.item.number);
    EXPECT_NE(counted.item.number, kBad);
  }
  const std::vector<DeadLetter> letters = find_dead_letters(directory_);
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters.front().position, kBad * sizeof(Item));
}

}  // namespace
}  // namespace sluice::test
