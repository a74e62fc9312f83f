// SPDX-License-Identifier: Apache-2.0
// Which stage blocks the rest, by numbers that were made up: one case each. bottleneck_runs_test.cpp has pipelines.
#include <array>

#include <sluice/bottleneck.hpp>

#include "observer/stats_json.hpp"
#include "watched.hpp"

namespace sluice::test {
namespace {

using testing::HasSubstr;

// Percents of the time that was watched.
struct Spent {
  int busy = 0;
  int waiting = 0;
  int full = 0;
  int outside = 0;
};

StageStats stage_that(const std::string& name, const std::vector<Spent>& workers) {
  StageStats stage;
  stage.name = name;
  for (const Spent& spent : workers) {
    WorkerStats worker;
    worker.name = name + "/" + std::to_string(stage.workers.size());
    worker.time = {100s, spent.busy * 1s, spent.waiting * 1s, spent.full * 1s, spent.outside * 1s};
    stage.workers.push_back(worker);
  }
  return stage;
}

// in -> read -> parse -> book -> out, each as it is after 100 seconds.
Stats line_of(const std::vector<Spent>& read, const std::vector<Spent>& parse,
              const std::vector<Spent>& book) {
  Stats stats;
  stats.state = "running";
  stats.stages = {stage_that("read", read), stage_that("parse", parse), stage_that("book", book)};
  stats.flows = {
      {"in", "read", 1, 0}, {"read", "parse", 1, 0}, {"parse", "book", 1, 0}, {"book", "out", 1, 0}};
  return stats;
}

TEST(Bottleneck, IsTheStageThatIsBusyWhileThoseBeforeItWaitForRoom) {
  const Stats now = line_of({{5, 0, 95}}, {{29, 0, 71}}, {{98, 2}});
  const auto found = bottleneck_of({}, now);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "book");
  EXPECT_EQ(found->reason, BottleneckReason::busy);
  EXPECT_DOUBLE_EQ(found->share, 0.98);
  EXPECT_EQ(found->text, "book is the bottleneck: 98 % busy, parse waits 71 % for it");
  EXPECT_EQ(bottleneck_text({}, now), found->text);
}

TEST(Bottleneck, IsJudgedByWhatCameBetweenTheLooks) {
  const Stats before = line_of({{5, 0, 95}}, {{5, 0, 95}}, {{98, 2}});
  Stats now = before;
  const std::array<TimeStats, 3> later{TimeStats{110s, 10s, 5s, 95s, 0s}, TimeStats{110s, 15s, 0s, 95s, 0s},
                                       TimeStats{110s, 99s, 11s, 0s, 0s}};
  for (std::size_t s = 0; s < later.size(); ++s)
    now.stages[s].workers[0].time = later[s];
  const auto found = bottleneck_of(before, now);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "parse");
  EXPECT_DOUBLE_EQ(found->share, 1);
  EXPECT_EQ(bottleneck_of({}, now)->name, "book");
}

TEST(Bottleneck, OfTwoThatAreAsBusyIsTheOneThatOthersWaitFor) {
  const auto found = bottleneck_of({}, line_of({{10, 0, 90}}, {{97, 2, 1}}, {{99, 1}}));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "parse");
}

TEST(Bottleneck, IsFoundByOneWorkerThatHasMoreToDoThanTheOthers) {
  const auto found = bottleneck_of({}, line_of({{5, 0, 95}}, {{40, 0, 60}}, {{10, 90}, {98, 2}}));
  ASSERT_TRUE(found);
  EXPECT_EQ(
      found->text,
      "book is the bottleneck: book/1 is 98 % busy, the workers together 54 %, parse waits 60 % for it");
}

TEST(Bottleneck, IsASourceThatWorksAllTheTime) {
  const auto found = bottleneck_of({}, line_of({{99, 0, 1}}, {{20, 80}}, {{20, 80}}));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->text, "read is the bottleneck: 99 % busy, parse waits 80 % for what it makes");
}

TEST(Bottleneck, IsAStageThatTheHostFindsFull) {
  Stats now = line_of({{70, 30}}, {{20, 80}}, {{20, 80}});
  EXPECT_FALSE(bottleneck_of({}, now));
  now.flows[0].occupancy = 1;
  const auto found = bottleneck_of({}, now);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->text, "read is the bottleneck: 70 % busy, the lane from in is 100 % full");
}

TEST(Bottleneck, IsAStageWhoseOutsideIsAway) {
  Stats now = line_of({{5, 0, 95}}, {{8, 0, 92}}, {{3, 0, 0, 97}});
  now.stages[2].workers[0].outside = "postgres: connection refused";
  const auto found = bottleneck_of({}, now);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->reason, BottleneckReason::outside);
  EXPECT_EQ(
      found->text,
      "book is the bottleneck: it waits 97 % for the outside (postgres: connection refused), parse waits "
      "92 % for it");
}

TEST(Bottleneck, IsAStageWithoutAProcessIfOthersWaitForIt) {
  const auto found = bottleneck_of({}, line_of({{5, 0, 95}}, {{8, 0, 92}}, {{10, 5}}));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->reason, BottleneckReason::absent);
  EXPECT_EQ(found->text, "book is the bottleneck: 85 % without a process at work, parse waits 92 % for it");
  EXPECT_FALSE(bottleneck_of({}, line_of({{5, 95}}, {{8, 92}}, {{10, 5}})));
}

TEST(Bottleneck, IsAnOutletThatTheHostLeavesFull) {
  Stats now = line_of({{5, 0, 95}}, {{5, 0, 95}}, {{4, 0, 96}});
  EXPECT_FALSE(bottleneck_of({}, now));
  now.flows[3].occupancy = 0.99;
  const auto found = bottleneck_of({}, now);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "out");
  EXPECT_EQ(found->reason, BottleneckReason::not_taken);
  EXPECT_EQ(found->text,
            "out is the bottleneck: the host does not take what is there, book waits 96 % for room");
}

TEST(Bottleneck, IsNoneWhereAllWaitForInput) {
  const Stats now = line_of({{30, 70}}, {{20, 80}}, {{40, 60}});
  EXPECT_FALSE(bottleneck_of({}, now));
  EXPECT_EQ(bottleneck_text({}, now), "no bottleneck: the stages wait for input");
}

TEST(Bottleneck, IsTheStageOfAWorkerThatIsStoppedWhileItHasSomethingToDo) {
  Stats now = line_of({{5, 51, 44}}, {{8, 92}}, {{10, 90}});
  WorkerStats& worker = now.stages[1].workers.front();
  worker.verdict = "stopped";
  worker.pid = 17;
  EXPECT_FALSE(bottleneck_of({}, now)) << "it has nothing to do";
  worker.occupancy = 0.01;
  const auto found = bottleneck_of({}, now);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "parse");
  EXPECT_EQ(found->reason, BottleneckReason::stopped);
  EXPECT_EQ(name_of(found->reason), "stopped");
  EXPECT_DOUBLE_EQ(found->share, 0.44);
  EXPECT_EQ(found->text,
            "parse is the bottleneck: parse/0 is stopped (kill -CONT 17), read waits 44 % for it");
  EXPECT_EQ(bottleneck_text({}, now), found->text);
  worker.occupancy = 0;
  now.stages[1].source = true;
  EXPECT_THAT(bottleneck_text({}, now), HasSubstr("parse/0 is stopped"));
}

TEST(Bottleneck, SaysOfTheBusiestStageThatItIsStopped) {
  Stats now = line_of({{5, 0, 95}}, {{98, 2}}, {{10, 90}});
  now.stages[1].workers.front().occupancy = 1;
  now.stages[1].workers.front().verdict = "stopped";
  EXPECT_EQ(bottleneck_of({}, now)->reason, BottleneckReason::stopped);
  EXPECT_EQ(bottleneck_of({}, now)->name, "parse");
  now.stages[2].workers.front().occupancy = 0.1;
  std::swap(now.stages[1].workers.front().verdict, now.stages[2].workers.front().verdict);
  EXPECT_EQ(bottleneck_of({}, now)->name, "parse") << "those behind it wait for it, stopped or not";
  EXPECT_EQ(bottleneck_of({}, now)->reason, BottleneckReason::busy);
}

TEST(Bottleneck, IsNoneWhereNoStageIsBusyAllTheTime) {
  const Stats now = line_of({{60, 40}}, {{60, 40}}, {{55, 40}});
  EXPECT_FALSE(bottleneck_of({}, now));
  EXPECT_EQ(bottleneck_text({}, now), "no bottleneck: no stage is busy all the time");
}

TEST(Bottleneck, IsNotKnownBeforeTheWatchdogHasLooked) {
  const Stats now = line_of({{99}}, {{99}}, {{99}});
  EXPECT_FALSE(bottleneck_of(now, now));
  EXPECT_THAT(bottleneck_text(now, now), HasSubstr("not known yet"));
}

TEST(Bottleneck, IsNoneOnceThePipelineIsOverAndNoWorkerThatIs) {
  Stats now = line_of({{5, 0, 95}}, {{99, 1}, {10, 0, 90}}, {{20, 80}});
  now.stages[1].workers[0].finished = true;
  EXPECT_FALSE(bottleneck_of({}, now));
  now.stages[1].workers[0].finished = false;
  now.stages[1].workers[0].verdict = "shed";
  EXPECT_FALSE(bottleneck_of({}, now));
  now.stages[1].workers[0].verdict = "busy";
  EXPECT_TRUE(bottleneck_of({}, now));
  now.state = "finished";
  EXPECT_FALSE(bottleneck_of({}, now));
  EXPECT_EQ(bottleneck_text({}, now), "no bottleneck: the pipeline is over");
  EXPECT_FALSE(bottleneck_of({}, Stats{}));
}

TEST(Bottleneck, IsFoundInNumbersThatMakeNoSense) {
  Stats before = line_of({{98, 2}}, {{98, 2}}, {{98, 2}});
  before.stages[0].workers.clear();
  before.stages.pop_back();
  Stats now = line_of({{5, 0, 95}}, {{0, 0, 90}}, {{98, 2}});
  now.stages[1].workers[0].time.watched = 200s;
  now.stages[1].workers[0].time.busy = -3s;
  now.flows.push_back({"nowhere", "book", 1, 0});
  const auto found = bottleneck_of(before, now);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->name, "book");
}

TEST(Bottleneck, IsSaidToPrograms) {
  const auto document = [](const Stats& now) {
    return detail::to_json({now, {}}, {}, detail::Rates{1s}, {}, 1s);
  };
  Stats now = line_of({{5, 0, 95}}, {{29, 0, 71}}, {{98, 2}});
  EXPECT_THAT(document(now),
              HasSubstr("\"bottleneck\":{\"stage\":\"book\",\"outlet\":null,\"reason\":\"busy\","
                        "\"share\":0.98,\"text\":\"book is the bottleneck: 98 % busy, parse "
                        "waits 71 % for it\"}"));
  now = line_of({{5, 0, 95}}, {{5, 0, 95}}, {{4, 0, 96}});
  now.flows[3].occupancy = 1;
  EXPECT_THAT(document(now),
              HasSubstr("\"bottleneck\":{\"stage\":null,\"outlet\":\"out\",\"reason\":\"not taken\","));
  EXPECT_THAT(document(line_of({{5, 95}}, {{5, 95}}, {{5, 95}})),
              HasSubstr("\"bottleneck\":{\"stage\":null,\"outlet\":null,\"reason\":null,\"share\":null,"
                        "\"text\":\"no bottleneck: the stages wait for input\"}"));
}

}  // namespace
}  // namespace sluice::test
