// SPDX-License-Identifier: Apache-2.0
// Pipelines in a line, and plans as text, JSON and drawing.
#include <string>

#include <sluice/pinning/explain.hpp>
#include <sluice/pinning/pipeline_text.hpp>

#include "expect_error.hpp"

namespace sluice::pinning {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(PipelineText, ReadsStagesWithWorkersAndThreads) {
  const PlanRequest request = parse_pipeline("  read  parse:4x2 write:1 ");
  ASSERT_EQ(request.stages.size(), 3U);
  EXPECT_EQ(request.stages[0].workers, 1U);
  EXPECT_EQ(request.stages[1].name, "parse");
  EXPECT_EQ(request.stages[1].workers, 4U);
  EXPECT_EQ(request.stages[1].threads, 2U);
  EXPECT_TRUE(request.flows.empty());
}

TEST(PipelineText, ReadsFlowsAndGivesThemBack) {
  const char* text = "parse:4x2 book:4 tick:1 host>parse@2000000 parse>book tick=>book book~>host";
  const PlanRequest request = parse_pipeline(text);
  ASSERT_EQ(request.flows.size(), 4U);
  EXPECT_EQ(request.flows[0].from, kHost);
  EXPECT_EQ(request.flows[0].rate, 2e6);
  EXPECT_EQ(request.flows[2].traffic, Traffic::broadcast);
  EXPECT_EQ(request.flows[3].traffic, Traffic::one_to_one);
  EXPECT_EQ(request.flows[3].to, kHost);
  const PlanRequest again = parse_pipeline(pipeline_text(request));
  EXPECT_EQ(pipeline_text(again), pipeline_text(request));
  EXPECT_EQ(again.flows[0].rate, 2e6);
}

TEST(PipelineText, IsRefusedWithThePositionAndWhatWouldBeValid) {
  const auto fault = [](const char* text) { return error_of([text] { parse_pipeline(text); }); };
  EXPECT_THAT(fault(""), HasSubstr("it has no stage"));
  EXPECT_THAT(fault("a:1 b:zero"),
              AllOf(HasSubstr("character 5"), HasSubstr("\"zero\""), HasSubstr("parse:4x2")));
  EXPECT_THAT(fault("a:0"), HasSubstr("is no number from 1"));
  EXPECT_THAT(fault("a:1 a:2"), HasSubstr("two stages \"a\""));
  EXPECT_THAT(fault("a:1 a>c"), HasSubstr("there is no stage \"c\""));
  EXPECT_THAT(fault("a:1 host>a b:1"), HasSubstr("write all stages first"));
  EXPECT_THAT(fault("a:1 host>a@much"), HasSubstr("\"much\" in \"host>a@much\" is no rate"));
  EXPECT_THAT(fault("host:1"), HasSubstr("host is no stage"));
  EXPECT_THAT(fault("a:99999999"), HasSubstr("is no number"));
}

TEST(PipelineText, IsRefusedWhereItsFlowsCloseACircle) {
  const auto fault = [](const char* text) { return error_of([text] { parse_pipeline(text); }); };
  EXPECT_THAT(fault("a:1 a>a"), AllOf(HasSubstr("character 5"), HasSubstr("\"a>a\" closes a circle")));
  EXPECT_THAT(fault("a:1 b:2 c:1 a>b b>c c=>a"),
              AllOf(HasSubstr("character 21"), HasSubstr("\"c=>a\" closes a circle")));
  EXPECT_THAT(fault("a:1 host>host"), HasSubstr("the host feeds stages, and not itself"));
  EXPECT_EQ(parse_pipeline("a:1 b:1 c:1 a>b a>c b>c host>a c>host").flows.size(), 5U);
}

TEST(PipelineText, SaysOfThreadsWhatTheyCanBe) {
  const std::string fault = error_of([] { parse_pipeline("a:2xcores"); });
  EXPECT_THAT(fault, AllOf(HasSubstr("\"cores\" in \"a:2xcores\" is no number of threads from 1"),
                           Not(HasSubstr("nor cores"))));
}

TEST(PlanLanes, AreRefusedBeforeTheyTakeTheMemoryOfTheMachine) {
  const Topology machine = topology_from_synthetic("core:4 pu:1");
  EXPECT_THAT(error_of([&] { plan(machine, parse_pipeline("a:65536 b:65536")); }),
              HasSubstr("its flows are between 4294967296 pairs of workers, and 4194304 are the most"));
  EXPECT_THAT(error_of([&] { plan(machine, parse_pipeline("a:65536x65536")); }),
              HasSubstr("its workers have 4294967296 threads, and 1048576 are the most"));
}

struct Shown {
  Topology machine;
  PlanRequest request;
  Plan placed;
  explicit Shown(const char* topology, const char* pipeline)
      : machine{topology_from_synthetic(topology)},
        request{parse_pipeline(pipeline)},
        placed{plan(machine, request)} {}
  Planned planned() const { return {machine, request, placed}; }
};

TEST(Explain, NamesUnitsAsTheKernelAndAsTheMachineCountsThem) {
  const Shown shown{"package:1 l3:1 core:4 pu:2(indexes=0,4,1,5,2,6,3,7)", "read:1 parse:2"};
  const std::string text = explain(shown.planned());
  EXPECT_THAT(text, HasSubstr("PU 2 core 1"));
  EXPECT_THAT(text, HasSubstr("read/0 > parse/1"));
  EXPECT_THAT(text, HasSubstr("cost 45 ns for each event of a source, by nominal distances; no plan"));
}

TEST(Explain, SumsTheLanesOfAFlowWhereThereAreMany) {
  const Shown shown{"package:2 [numa] l3:1 core:16 pu:1", "parse:6 book:6"};
  EXPECT_THAT(explain(shown.planned()), AllOf(HasSubstr("parse > book"), Not(HasSubstr("parse/0 > book/0"))));
}

TEST(Explain, GivesJsonWithEveryLaneAndWhetherThePlanHolds) {
  const Shown shown{"package:1 l3:1 core:2 pu:1", "read:1 parse:2"};
  const std::string json = to_json(shown.planned());
  EXPECT_THAT(json, HasSubstr("{\"from\":\"read/0\",\"to\":\"parse/1\",\"rate\":0.5"));
  EXPECT_THAT(json, HasSubstr("\"holds\":false"));
  EXPECT_THAT(json, HasSubstr("synthetic \\\"package:1"));
}

TEST(Explain, DrawsEveryCoreAndEveryWorker) {
  const Shown shown{"package:2 [numa] l3:2 core:8 pu:2", "read:1 parse:8 book:8"};
  const std::string svg = to_svg(shown.planned());
  EXPECT_THAT(svg,
              AllOf(HasSubstr("<svg"), HasSubstr(">core 31<"), HasSubstr("parse/7"), HasSubstr("</svg>")));
  const Shown crowded{"l3:1 core:2 pu:1", "read:1 parse:2"};
  EXPECT_THAT(to_svg(crowded.planned()), HasSubstr("on 0-1 together: read/0, parse/0, parse/1, host"));
}

TEST(Explain, DrawsLongNamesWithinTheirCores) {
  const Shown shown{"l3:1 core:4 pu:1", "averyveryverylongname:2 größenordnungen:1"};
  const std::string svg = to_svg(shown.planned());
  EXPECT_THAT(svg, HasSubstr("…/1<title>"));
  const std::size_t whole = svg.find(" averyveryverylongname/0</title>");
  ASSERT_NE(whole, std::string::npos) << svg;
  const std::size_t begin = svg.rfind('>', svg.rfind("<title>", whole) - 1) + 1;
  const std::string drawn = svg.substr(begin, svg.find('<', begin) - begin);
  EXPECT_LE(drawn.size(), 14 + 2) << drawn << ": 14 letters, one of three bytes";
  EXPECT_THAT(drawn, AllOf(testing::EndsWith("/0"), HasSubstr("averyv")));
}

TEST(Explain, DrawsStagesInAsManyRowsAsTheyTake) {
  std::string pipeline;
  for (int stage = 0; stage < 40; ++stage)
    pipeline += "stage" + std::to_string(stage) + ":1 ";
  const Shown shown{"package:2 [numa] l3:2 core:16 pu:1", pipeline.c_str()};
  const std::string svg = to_svg(shown.planned());
  const std::size_t last = svg.find(">stage39:1<");
  ASSERT_NE(last, std::string::npos);
  const std::size_t tag = svg.rfind("<text x=\"", last);
  EXPECT_LT(std::stod(svg.substr(tag + 9)), 964) << svg.substr(tag, last - tag);
  EXPECT_THAT(svg, HasSubstr("translate(12,106)")) << "the machine stands below four rows";
}

TEST(PlanAutoShared, CostsNoMoreThanTheOrderOfTheStages) {
  for (const char* machine :
       {"package:2 l2:2 core:2 pu:1", "package:2 [numa] l3:1 core:2 pu:1", "package:4 core:2 pu:1"}) {
    PlanRequest request = parse_pipeline("read:1 parse:3 book:3 write:1");
    const Topology topology = topology_from_synthetic(machine);
    const double automatic = plan(topology, request).cost;
    request.policy = Policy::compact;
    EXPECT_LE(automatic, plan(topology, request).cost * (1 + 1e-9)) << machine;
  }
}

}  // namespace
}  // namespace sluice::pinning
