// SPDX-License-Identifier: Apache-2.0
// Plans that go by what an earlier run of the pipeline has measured.
#include <string>
#include <vector>

#include <sluice/pinning/cores.hpp>
#include <sluice/pinning/measured.hpp>
#include <sluice/pinning/pipeline_text.hpp>
#include <sluice/pinning/plan.hpp>
#include <sluice/pinning/request_text.hpp>

#include "expect_error.hpp"

namespace sluice::pinning {
namespace {

using testing::AllOf;
using testing::DoubleEq;
using testing::HasSubstr;

PlanRequest measured(const char* pipeline, const char* text) {
  return with_measured(parse_pipeline(pipeline), text);
}

TEST(Measured, GivesStagesTheirLoadAndFlowsTheirRate) {
  const PlanRequest request = measured("read:1 parse:2 book:2 host>read read>parse parse=>book",
                                       " parse@1.7  host>read@10 read>parse@2e6\tparse>book@5e5\n");
  EXPECT_THAT(request.stages[1].load, DoubleEq(1.7));
  EXPECT_THAT(request.stages[0].load, DoubleEq(0)) << "not known";
  EXPECT_THAT(request.flows[0].rate, DoubleEq(10));
  EXPECT_THAT(request.flows[1].rate, DoubleEq(2e6));
  EXPECT_THAT(request.flows[2].rate, DoubleEq(250'000)) << "each event reached two";
  EXPECT_EQ(measured_text(request), "parse@1.7 host>read@10 read>parse@2e+06 parse>book@5e+05");
}

TEST(Measured, HoldsForAPipelineWhoseFlowsAreNotSaid) {
  EXPECT_THAT(measured("read:1 parse:2 write:1", "parse>write@7").flows[1].rate, DoubleEq(7));
}

TEST(Measured, IsOneRateForInletsIntoOneStage) {
  PlanRequest request{.stages = {{.name = "echo"}}, .flows = {{.to = 0}, {.to = 0}}};
  request = with_measured(std::move(request), "host>echo@8");
  EXPECT_THAT(request.flows[0].rate + request.flows[1].rate, DoubleEq(8));
}

TEST(Measured, ThatIsNotOfThisPipelineOrNoNumberIsRefused) {
  const auto fault = [](const char* text) {
    return error_of([&] { measured("read:1 parse:2 read>parse", text); });
  };
  EXPECT_THAT(fault("parse@1 book@2"),
              AllOf(HasSubstr("at character 9"), HasSubstr("no stage \"book\""), HasSubstr("--measured")));
  EXPECT_THAT(fault("parse>read@2"), HasSubstr("no flow \"parse>read\""));
  EXPECT_THAT(fault("parse"), HasSubstr("no @"));
  for (const char* text : {"parse@", "parse@much", "parse@-1", "parse@inf", "parse@nan", "parse@1x"})
    EXPECT_THAT(fault(text), HasSubstr("is no number")) << text;
  EXPECT_THAT(fault(">@1"), HasSubstr("no stage \"\""));
}

TEST(Measured, SharesCoresOutByWhatStagesHadToDo) {
  const Topology machine = topology_from_synthetic("core:10 pu:1");
  const auto counts = [&](const char* text) {
    PlanRequest request = with_cores(machine, measured("read:1 parse:cores book:cores", text));
    request.flows.clear();
    return pipeline_text(request);
  };
  EXPECT_EQ(counts("parse@1.5 book@0.5"), "read:1 parse:6 book:2");
  EXPECT_EQ(counts("parse@0.1 book@0.7 read>parse@6e6 parse>book@2e6"), "read:1 parse:1 book:7")
      << "few events that take long";
  EXPECT_EQ(counts("parse@1.5"), "read:1 parse:4 book:4") << "nothing is known of the other";
}

// Two stages talk to one that has no room for both beside it: the nearer place is for the one that has more to say.
TEST(Measured, MakesTheWayShortWhereMostEventsGo) {
  const Topology machine = topology_from_synthetic("package:2 [numa] core:2 pu:1");
  const auto is_near = [&](const char* text) {
    const Plan placed = plan(machine, measured("a:1 b:1 c:1 a>c b>c", text));
    return placed.stages[0].workers[0].numa_node == placed.stages[2].workers[0].numa_node;
  };
  EXPECT_TRUE(is_near("a>c@1000 b>c@1"));
  EXPECT_FALSE(is_near("a>c@1 b>c@1000"));
}

TEST(Measured, IsPartOfWhatAProgramSaysOfItsPipeline) {
  const PlanRequest request = measured("read:1 parse:cores read>parse", "parse@1.25 read>parse@2e6");
  const PlanRequest again = parse_request(request_text(request));
  EXPECT_THAT(again.stages[1].load, DoubleEq(1.25));
  EXPECT_THAT(again.flows[0].rate, DoubleEq(2e6));
}

}  // namespace
}  // namespace sluice::pinning
