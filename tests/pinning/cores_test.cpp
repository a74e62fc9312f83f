// SPDX-License-Identifier: Apache-2.0
// Stages that take as many workers as cores are left; a pipeline as lines of text; and large machines.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <sluice/pinning/cores.hpp>
#include <sluice/pinning/pipeline_text.hpp>
#include <sluice/pinning/plan.hpp>
#include <sluice/pinning/request_text.hpp>

#include "expect_error.hpp"
#include "zoo.hpp"

namespace sluice::pinning {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// "read:1 parse:5": the stages as they come out on a machine of one package.
std::string counts(const char* machine, const char* pipeline, double quota = 0) {
  Topology topology = topology_from_synthetic(machine);
  if (quota > 0) topology.quota_cores = quota;
  PlanRequest request = with_cores(topology, parse_pipeline(pipeline));
  request.flows.clear();
  return pipeline_text(request);
}

TEST(Cores, AreWhatTheOtherStagesAndTheHostLeave) {
  EXPECT_EQ(counts("core:8 pu:1", "read:1 parse:cores write:1"), "read:1 parse:5 write:1");
  EXPECT_EQ(counts("core:8 pu:1", "parse:cores"), "parse:7");
  EXPECT_EQ(counts("core:8 pu:1", "read:1 parse:3"), "read:1 parse:3")
      << "without such a stage it is as it was";
}

TEST(Cores, CountOnceWhateverTheirSiblings) {
  EXPECT_EQ(counts("core:8 pu:2", "read:1 parse:cores write:1"), "read:1 parse:6 write:1")
      << "a host that has nothing to do is content with siblings";
  EXPECT_EQ(counts("core:8 pu:2", "parse:cores host>parse"), "parse:7") << "one that pushes has a core";
}

TEST(Cores, AreAtLeastOneForEachStageThatAsks) {
  EXPECT_EQ(counts("core:2 pu:1", "read:1 parse:cores book:cores write:1"), "read:1 parse:1 book:1 write:1");
  EXPECT_EQ(counts("core:1 pu:1", "parse:cores"), "parse:1");
}

TEST(Cores, AreSharedOutEvenlyWhereNobodyKnowsTheLoad) {
  EXPECT_EQ(counts("core:8 pu:1", "parse:cores book:cores"), "parse:4 book:3");
  EXPECT_EQ(counts("core:9 pu:1", "parse:cores book:cores parse>book@5"), "parse:4 book:4");
  EXPECT_EQ(counts("core:8 pu:1", "read:1 parse:cores book:cores read>parse@5 parse>book"),
            "read:1 parse:3 book:3")
      << "of one of them nothing was measured";
}

TEST(Cores, AreSharedOutByTheEventsThatAnEarlierRunHasCounted) {
  EXPECT_EQ(counts("core:10 pu:1", "read:1 parse:cores book:cores read>parse@6000 parse>book@2000"),
            "read:1 parse:6 book:2");
  EXPECT_EQ(counts("core:10 pu:1", "read:1 parse:cores book:cores read>parse@1 parse>book@1000"),
            "read:1 parse:1 book:7");
}

TEST(Cores, KeepWithinTheQuota) {
  EXPECT_EQ(counts("core:16 pu:1", "read:1 parse:cores", 4.5), "read:1 parse:2");
  EXPECT_EQ(counts("core:16 pu:1", "read:1 parse:cores", 0.5), "read:1 parse:1");
}

TEST(Cores, AreThoseOfAStagesPlace) {
  const Topology machine = topology_from_synthetic("package:2 [numa] l3:2 core:4 pu:1");
  const auto parsers = [&](const char* place, const char* reserved = "") {
    return with_cores(machine,
                      {.stages = {{.name = "read"}, {.name = "parse", .workers = kCores, .place = place}},
                       .reserved = CpuSet::parse(reserved)})
        .stages[1]
        .workers;
  };
  EXPECT_EQ(parsers("package:1"), 8U);
  EXPECT_EQ(parsers("ll_caches"), 4U);
  EXPECT_EQ(parsers("0-2"), 3U);
  EXPECT_EQ(parsers("l3:0", "0"), 3U);
  EXPECT_EQ(parsers("core:all"), 14U);
  EXPECT_THAT(error_of([&] { parsers("package:2"); }), HasSubstr("the place of parse, at character 9"));
}

TEST(Cores, AreCountedOnceForStagesInOnePlace) {
  const Topology machine = topology_from_synthetic("package:2 [numa] l3:1 core:8 pu:1");
  const auto workers = [&](std::vector<StageRequest> stages) {
    std::vector<unsigned> workers;
    for (const StageRequest& stage : with_cores(machine, {.stages = std::move(stages)}).stages)
      workers.push_back(stage.workers);
    return workers;
  };
  using testing::ElementsAre;
  EXPECT_THAT(workers({{.name = "parse", .workers = kCores, .place = "package:0"},
                       {.name = "book", .workers = kCores, .place = "package:0"}}),
              ElementsAre(4, 4));
  EXPECT_THAT(workers({{.name = "read", .place = "package:0"},
                       {.name = "parse", .workers = kCores, .place = "package:0"}}),
              ElementsAre(1, 7));
  EXPECT_THAT(workers({{.name = "read", .workers = 2, .place = "0-1"},
                       {.name = "parse", .workers = kCores, .place = "package:0"}}),
              ElementsAre(2, 6))
      << "a narrower place inside";
}

TEST(Cores, AreThoseThatOtherPipelinesAndReservationsLeave) {
  const Topology machine = topology_from_synthetic("core:8 pu:1");
  const PlanRequest request{.stages = {{.name = "parse", .workers = kCores}},
                            .reserved = CpuSet::parse("0"),
                            .claims = {{CpuSet::parse("1-2"), "pipeline bank (pid 7)"}}};
  EXPECT_EQ(with_cores(machine, request).stages[0].workers, 4U);
}

TEST(Cores, GiveAWideWorkerAsManyAsItWants) {
  EXPECT_EQ(counts("core:8 pu:1", "read:1 parse:coresx2"), "read:1 parse:3x2");
}

std::vector<Topology> machines_of_others() {
  std::vector<Topology> machines;
  for (const char* text : {"core:1 pu:1", "core:1 pu:2", "core:2 pu:1", "package:2 [numa] l3:8 core:8 pu:2"})
    machines.push_back(topology_from_synthetic(text));
  for (Topology& machine : saved_machines())
    machines.push_back(std::move(machine));
  return machines;
}

// Whatever the machine: the plan that follows has a core for each worker, if there is one for each stage.
TEST(Cores, NeverCrowdAMachineThatHasOneForEachStage) {
  for (const Topology& machine : machines_of_others()) {
    SCOPED_TRACE(machine.description);
    const PlanRequest request = with_cores(
        machine, parse_pipeline("read:1 parse:cores book:cores write:1 read>parse parse>book book>write"));
    std::size_t workers = 0;
    for (const StageRequest& stage : request.stages) {
      EXPECT_GE(stage.workers, 1U);
      workers += stage.workers;
    }
    EXPECT_EQ(request.stages[0].workers, 1U);
    EXPECT_LE(request.stages[1].workers - request.stages[2].workers, 1U) << "evenly, the earlier one first";
    const Plan placed = plan(machine, request);
    if (workers > request.stages.size()) {
      EXPECT_FALSE(placed.oversubscribed);
    }
    EXPECT_EQ(to_text(plan(machine, parse_pipeline("read:1 parse:cores book:cores write:1"))),
              to_text(plan(machine, parse_pipeline("read:1 parse:cores book:cores write:1"))));
  }
}

TEST(PipelineText, HasAWordForAsManyAsThereAreCores) {
  const PlanRequest request = parse_pipeline("read:1 parse:cores book:coresx2");
  EXPECT_EQ(request.stages[1].workers, kCores);
  EXPECT_EQ(request.stages[2].threads, 2U);
  EXPECT_EQ(pipeline_text(request), "read:1 parse:cores book:coresx2");
  EXPECT_THAT(error_of([] { parse_pipeline("a:core"); }), HasSubstr("nor cores"));
}

TEST(RequestText, IsReadBackAsItWasWritten) {
  PlanRequest request = parse_pipeline("read:1 parse:cores host>read read>parse parse=>host");
  request.policy = Policy::spread;
  request.stages[1].place = "package:0.core:0-3";
  request.stages[0].region_bytes = 4096;
  request.flows[2].lane_bytes = 65536;
  request.reserved = CpuSet::parse("0-1,8");
  request.isolated = true;
  request.smt = Smt::never;
  const std::string text = request_text(request);
  const PlanRequest again = parse_request(text);
  EXPECT_EQ(request_text(again), text);
  EXPECT_EQ(again.policy, Policy::spread);
  EXPECT_EQ(again.stages[1].place, "package:0.core:0-3");
  EXPECT_EQ(again.stages[1].workers, kCores);
  EXPECT_EQ(again.stages[0].region_bytes, 4096U);
  EXPECT_EQ(again.flows[2].lane_bytes, 65536U);
  EXPECT_EQ(again.reserved.to_string(), "0-1,8");
  EXPECT_TRUE(again.isolated);
  EXPECT_EQ(again.smt, Smt::never);
}

TEST(RequestText, IsRefusedWithTheLineThatIsNone) {
  EXPECT_THAT(error_of([] { parse_request(""); }), HasSubstr("no line has the pipeline"));
  EXPECT_THAT(error_of([] { parse_request("pipeline a:1\nplace b 0\n"); }),
              AllOf(HasSubstr("\"place b 0\""), HasSubstr("no stage \"b\"")));
  EXPECT_THAT(error_of([] { parse_request("pipeline a:1\nlane_bytes 3 1\n"); }), HasSubstr("no such flow"));
  EXPECT_THAT(error_of([] { parse_request("pipeline a:1\nregion_bytes a many\n"); }),
              HasSubstr("is no number"));
  EXPECT_THAT(error_of([] { parse_request("pipeline a:1\nshape round\n"); }),
              HasSubstr("\"shape\" is not known"));
}

}  // namespace
}  // namespace sluice::pinning
