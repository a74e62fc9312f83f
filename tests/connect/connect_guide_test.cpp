// SPDX-License-Identifier: Apache-2.0
// The store of docs/guide/connect.md is right: whatever is killed, each reading is in its file once; and the
// page shows what is tested here.
#include "connect_guide.hpp"

#include <iterator>
#include <map>
#include <random>

#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;

class ConnectGuide : public WithOutside {};

struct Pass {
  void operator()(const Reading& reading, Output<Reading>& out) const { out.push(reading); }
};

// Kills its worker now and then between the store's commit and the worker's: a flush that runs behind the sink's.
class KilledJournal {
 public:
  KilledJournal(Worker& worker, const std::string& path) : journal_{worker, path} {
    worker.before_commit([&worker, random = std::mt19937{std::random_device{}()}]() mutable {
      if (worker.incarnation() <= 50 && random() % 4 == 0) ::raise(SIGKILL);
    });
  }
  void operator()(const Reading& reading) { journal_(reading); }

 private:
  Journal journal_;
};

TEST_F(ConnectGuide, StoresEachReadingOnceThroughKillsAtAnyInstantAndBetweenTheCommits) {
  constexpr int kKills = 100;
  Pipeline pipeline{"readings"};
  pipeline.inlet<Reading>("in")
      .to<Pass>("pass", {.workers = 2})
      .to<KilledJournal>("journal", {.workers = 2}, file("journal"));
  Engine engine{pipeline, settings({"restart.budget=1000000", "batch.events=16", "poison.attempts=1000"})};
  engine.start();
  auto in = engine.inlet<Reading>("in");
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(seed);
  std::mt19937 random{seed};
  std::uint64_t sensor = 0;
  for (int kills = 0; kills < kKills;) {
    for (auto n = random() % 400; n != 0; --n)
      ASSERT_EQ(in.push({sensor++, 7}), PushResult::accepted);
    const std::string worker = "journal/" + std::to_string(random() % 2);
    const std::uint32_t incarnation = worker_of(engine, worker).incarnation;
    // One that is dead already, and not replaced yet, would not count.
    if (!engine.signal_worker(worker, SIGKILL)) continue;
    ++kills;
    ASSERT_TRUE(eventually([&] { return worker_of(engine, worker).incarnation != incarnation; }));
  }
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_GE(engine.stats().stages[1].restarts(), 100U);
  std::map<std::string, int> stored;
  for (const char* replica : {".0", ".1"}) {
    for (const std::string& line : lines_of(file("journal") + replica)) {
      if (line.starts_with("row ")) ++stored[line.substr(4)];
    }
  }
  EXPECT_THAT(stored, SizeIs(sensor));
  for (const auto& [row, times] : stored)
    EXPECT_EQ(times, 1) << row;
}

// Counts what its store takes, and is killed now and then between the two commits. The store refuses some.
class CountedJournal {
 public:
  CountedJournal(Worker& worker, const std::string& path)
      : count_{worker.state<std::uint64_t>("count")}, sink_{worker, path} {
    worker.before_commit([&worker, random = std::mt19937{std::random_device{}()}]() mutable {
      if (worker.incarnation() <= 100 && random() % 3 == 0) ::raise(SIGKILL);
    });
  }
  void operator()(const Reading& reading, Output<Reading>& out) {
    const std::uint64_t count = ++count_.edit();
    out.push({reading.sensor, count});
    sink_.add(std::to_string(reading.sensor) + " " + std::to_string(count) +
              (reading.sensor % 20 == 7 ? "\n" : ""));
  }

 private:
  Recoverable<std::uint64_t> count_;
  TransactionSink<LineStore> sink_;
};

TEST_F(ConnectGuide, StateAndOutputsAreThoseOfTheEventsThatTheStoreTook) {
  constexpr std::uint64_t kReadings = 3000;
  Pipeline pipeline{"readings"};
  pipeline.inlet<Reading>("in").to<CountedJournal>("journal", {}, file("journal")).outlet("out");
  std::vector<Reading> readings;
  for (std::uint64_t sensor = 0; sensor < kReadings; ++sensor)
    readings.push_back({sensor, 0});
  const std::vector<Reading> out = run_processes<Reading>(
      pipeline, readings, settings({"batch.events=32", "poison.budget=100K", "restart.budget=1000000"}));
  EXPECT_THAT(find_dead_letters(file("reports")), SizeIs(kReadings / 20));
  ASSERT_THAT(out, SizeIs(kReadings - kReadings / 20));
  std::vector<std::string> expected;
  for (std::size_t i = 0; i < out.size(); ++i) {
    ASSERT_EQ(out[i].value, i + 1) << "a refused reading was counted";
    expected.push_back("row " + std::to_string(out[i].sensor) + " " + std::to_string(i + 1));
  }
  std::vector<std::string> rows;
  for (const std::string& line : lines_of(file("journal"))) {
    if (line.starts_with("row ")) rows.push_back(line);
  }
  EXPECT_EQ(rows, expected);
}

TEST_F(ConnectGuide, RefusesAWriterAfterAnotherHasTakenOver) {
  const SinkOwner owner{"readings", "journal", 0, 1, std::uint64_t{1} << 40U};
  LineStore old{file("journal")};
  const SinkClaim first = old.claim(owner);
  LineStore now{file("journal")};
  EXPECT_EQ(now.claim(owner).epoch, first.epoch + 1);
  const std::vector<PendingEffect<std::string>> effects{{{owner.origin, 0}, "1 2"}};
  const std::vector<WatermarkMove> marks{{owner.origin, 16}};
  EXPECT_THAT(error_of([&] { old.apply({owner, first.epoch, effects, marks}); }), HasSubstr("taken over"));
  now.apply({owner, first.epoch + 1, effects, marks});
  LineStore next{file("journal")};
  EXPECT_THAT(next.claim(owner).watermarks, testing::ElementsAre(Watermark{owner.origin, 16}));
  const SinkOwner other_run{"readings", "journal", 0, 1, std::uint64_t{1} << 41U};
  EXPECT_EQ(LineStore{file("journal")}.claim(other_run).epoch, first.epoch + 3);
  EXPECT_THAT(error_of([&] { LineStore{file("journal")}.claim(owner); }), HasSubstr("taken over"));
}

TEST_F(ConnectGuide, HasTheProgramThatIsTestedHere) {
  const auto text_of = [](const std::string& path) {
    std::ifstream text{path};
    return std::string{std::istreambuf_iterator<char>{text}, {}};
  };
  const std::string program = text_of(SLUICE_SOURCE_DIRECTORY "/tests/connect/connect_guide.hpp");
  const std::string mark = "// [guide]\n";
  const std::size_t from = program.find(mark) + mark.size();
  const std::string shown = program.substr(from, program.rfind(mark) - from);
  ASSERT_GT(shown.size(), 1000U);
  EXPECT_NE(text_of(SLUICE_SOURCE_DIRECTORY "/docs/guide/connect.md").find("```cpp\n" + shown + "```"),
            std::string::npos)
      << "the guide shows another program";
}

}  // namespace
}  // namespace sluice::test
