// SPDX-License-Identifier: Apache-2.0
// Places as people write them, and plans that follow them.
#include <string>
#include <vector>

#include <sluice/pinning/cores.hpp>
#include <sluice/pinning/location.hpp>
#include <sluice/pinning/plan.hpp>

#include "expect_error.hpp"

namespace sluice::pinning {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

Topology two_sockets() {
  return topology_from_synthetic("package:2 [numa] l3:2 core:2 pu:2");
}

std::string units_at(const char* text) {
  const Location location = parse_place(two_sockets(), text);
  std::string units;
  for (const CpuSet& set : location.sets)
    units.append(units.empty() ? "" : " ").append(set.to_string());
  return units;
}

TEST(PlaceText, IsCpuNumbersAndRanges) {
  EXPECT_EQ(units_at("0-3,8"), "0-3,8");
  EXPECT_EQ(units_at("5"), "5");
}

TEST(PlaceText, IsALocationThatCountsWithinWhatStandsBefore) {
  EXPECT_EQ(units_at("package:1"), "8-15");
  EXPECT_EQ(units_at("package:1.core:0-1.pu:0"), "8");
  EXPECT_EQ(units_at("package:1.core:3"), "14-15");
  EXPECT_EQ(units_at("numa:0.l3:1"), "4-7");
  EXPECT_EQ(units_at("package:0.core:0,package:1.core:0"), "0-1,8-9");
  EXPECT_EQ(units_at("core:all"), "0-15");
}

TEST(PlaceText, IsAWordWhereEachWorkerGetsAWholeOne) {
  EXPECT_EQ(units_at("ll_caches"), "0-3 4-7 8-11 12-15");
  EXPECT_EQ(units_at("numa_domains"), "0-7 8-15");
  EXPECT_EQ(units_at("packages"), "0-7 8-15");
  EXPECT_TRUE(parse_place(two_sockets(), "cores").whole);
}

TEST(PlaceText, IsRefusedWithThePositionAndWhatWouldBeValid) {
  const auto fault = [](const char* text) { return error_of([text] { parse_place(two_sockets(), text); }); };
  EXPECT_THAT(fault(""), HasSubstr("it is empty"));
  EXPECT_THAT(fault("package:7"),
              AllOf(HasSubstr("character 9"), HasSubstr("there is no package 7 here, only 0 to 1")));
  EXPECT_THAT(fault("packet:1"), AllOf(HasSubstr("character 1"), HasSubstr("no kind of place \"packet\""),
                                       HasSubstr("ll_caches")));
  EXPECT_THAT(fault("package:0.core:9"), AllOf(HasSubstr("character 16"), HasSubstr("only 0 to 3")));
  EXPECT_THAT(fault("0-3,99"),
              AllOf(HasSubstr("character 5"), HasSubstr("CPU 99 is not allowed; allowed are 0-15")));
  EXPECT_THAT(fault("3-1"), HasSubstr("runs backwards"));
  EXPECT_THAT(fault("0;1"), AllOf(HasSubstr("character 2"), HasSubstr("';' stands where a comma")));
  EXPECT_THAT(fault("core"), HasSubstr("core needs an index"));
  EXPECT_THAT(fault("99999999999"), HasSubstr("too large"));
  EXPECT_THAT(fault("0,"), HasSubstr("no kind of place \"\""));
}

TEST(PlaceText, IsRefusedWithWhatTheMachineHasInstead) {
  const Topology machine = topology_from_synthetic("package:2 core:2 pu:2");
  const auto fault = [&](const char* text) { return error_of([&] { parse_place(machine, text); }); };
  EXPECT_THAT(fault("l3:0"), HasSubstr("there is no l3 here, only package, numa, core, pu"));
  EXPECT_THAT(fault("ll_caches"), HasSubstr("this machine tells of none, only of package, numa, core, pu"));
  EXPECT_THAT(fault("cores,0"), AllOf(HasSubstr("character 1"), HasSubstr("cores stands alone")));
}

TEST(PlaceText, NeedsAnAllowedUnit) {
  const Topology machine = restricted(two_sockets(), CpuSet::parse("0-7"));
  EXPECT_THAT(error_of([&] { parse_place(machine, "package:1"); }),
              HasSubstr("package 1 (8-15) has no allowed unit"));
  EXPECT_THAT(error_of([&] { parse_place(machine, "8"); }), HasSubstr("CPU 8 is not allowed"));
}

TEST(PlaceText, NamesAThingOfItsListThatHasNone) {
  const Topology machine = restricted(two_sockets(), CpuSet::parse("0-6"));
  const auto fault = [&](const char* text) { return error_of([&] { parse_place(machine, text); }); };
  EXPECT_THAT(
      fault("core:0,core:5"),
      AllOf(HasSubstr("character 13"), HasSubstr("core 5 (10-11) has no allowed unit; allowed are 0-6")));
  EXPECT_THAT(fault("package:0-1"), AllOf(HasSubstr("character 9"), HasSubstr("package 1 (8-15)")));
  EXPECT_THAT(fault("core:0,core:3.pu:1"), HasSubstr("pu 1 (7) has no allowed unit"));
  EXPECT_EQ(parse_place(machine, "core:all").sets.front().to_string(), "0-6");
}

TEST(PlaceText, OfAThingInPartThatIsSaidByThePlan) {
  const Topology machine = restricted(two_sockets(), CpuSet::parse("0-2,4-15"));
  const Location location = parse_place(machine, "l3:0");
  EXPECT_EQ(location.sets.front().to_string(), "0-2");
  EXPECT_EQ(location.not_allowed.to_string(), "3");
  const Plan placed = plan(machine, {.stages = {{.name = "parse", .place = "l3:0"}}});
  EXPECT_THAT(placed.remarks, Contains("of the place l3:0 of parse this process may not use 3"));
}

TEST(PlaceText, StandsBehindTheNameOfAStage) {
  const StageLocation location = parse_stage_location("parse@package:0");
  EXPECT_EQ(location.stage, "parse");
  EXPECT_EQ(location.place, "package:0");
  EXPECT_THAT(error_of([] { parse_stage_location("parse"); }), HasSubstr("no place stands behind"));
  EXPECT_THAT(error_of([] { parse_stage_location("@0"); }), HasSubstr("no stage stands before"));
}

std::vector<std::string> units_of_stage(const StagePlan& stage) {
  std::vector<std::string> lists;
  for (const Place& place : stage.workers)
    lists.push_back(place.units.to_string());
  return lists;
}

TEST(PlanPlaces, GiveEachWorkerACoreInsideAndTheOthersWhatIsLeft) {
  for (const Policy policy : {Policy::automatic, Policy::compact, Policy::spread}) {
    const Plan placed =
        plan(two_sockets(), {.stages = {{.name = "read", .workers = 1},
                                        {.name = "parse", .workers = 2, .place = "package:1.l3:1"}},
                             .policy = policy});
    EXPECT_THAT(units_of_stage(placed.stages[1]), ElementsAre("12", "14"));
    EXPECT_FALSE(placed.oversubscribed);
    EXPECT_EQ(placed.stages[0].workers[0].units.count(), 1U);
    EXPECT_FALSE(placed.stages[0].workers[0].units.intersects(CpuSet::parse("12,14")));
  }
}

TEST(PlanPlaces, OfOthersDrawTheWorkersNear) {
  const Plan placed = plan(two_sockets(), {.stages = {{.name = "read"}, {.name = "parse", .place = "14"}}});
  EXPECT_THAT(units_of_stage(placed.stages[0]), ElementsAre("12"));
}

TEST(PlanPlaces, TakeTheNarrowOneFirst) {
  const Plan placed = plan(
      two_sockets(), {.stages = {{.name = "a", .workers = 3, .place = "0-7"}, {.name = "b", .place = "0"}}});
  EXPECT_THAT(units_of_stage(placed.stages[1]), ElementsAre("0"));
  EXPECT_FALSE(placed.oversubscribed);
}

TEST(PlanPlaces, GiveEachWorkerAWholeCacheWhereThatIsAsked) {
  const Plan placed = plan(
      two_sockets(), {.stages = {{.name = "parse", .workers = 2, .place = "ll_caches"}, {.name = "book"}}});
  EXPECT_THAT(units_of_stage(placed.stages[0]), ElementsAre("0-3", "4-7"));
  EXPECT_EQ(placed.stages[1].workers[0].numa_node, 1);
}

TEST(PlanPlaces, ThatAreTooSmallAreSharedAndThatIsSaid) {
  const Plan placed =
      plan(two_sockets(), {.stages = {{.name = "parse", .workers = 3, .place = "0-1"}, {.name = "book"}}});
  EXPECT_THAT(units_of_stage(placed.stages[0]), ElementsAre("0-1", "0-1", "0-1"));
  EXPECT_TRUE(placed.stages[0].workers[0].shared);
  EXPECT_FALSE(placed.stages[1].workers[0].shared);
  EXPECT_TRUE(placed.oversubscribed);
  EXPECT_THAT(placed.remarks, Contains(HasSubstr("parse wants 3 units of its place 0-1")));
}

TEST(PlanPlaces, ThatAreSharedAreNotGivenToOthersWhileOthersAreFree) {
  const Plan placed = plan(
      topology_from_synthetic("core:8 pu:1"),
      {.stages = {{.name = "read"}, {.name = "parse", .workers = 4, .place = "0-1"}, {.name = "write"}}});
  for (const std::size_t stage : {0U, 2U}) {
    const Place& own = placed.stages[stage].workers[0];
    EXPECT_FALSE(own.units.intersects(CpuSet::parse("0-1"))) << own.units.to_string();
    EXPECT_FALSE(own.shared);
  }
  EXPECT_FALSE(placed.host.units.intersects(CpuSet::parse("0-1"))) << placed.host.units.to_string();
}

TEST(PlanPlaces, LeaveRoomForThoseThatCanBeNowhereElse) {
  const auto stages = [](const char* first, const char* second) {
    const StageRequest a{.name = "a", .workers = 2, .place = "2-5"};
    const StageRequest b{.name = "b", .workers = 4, .place = "0-3"};
    return std::vector<StageRequest>{*first == 'a' ? a : b, *second == 'a' ? a : b};
  };
  for (const bool a_first : {true, false}) {
    for (const Policy policy : {Policy::automatic, Policy::compact, Policy::spread}) {
      const Plan placed = plan(topology_from_synthetic("core:8 pu:1"),
                               {.stages = a_first ? stages("a", "b") : stages("b", "a"), .policy = policy});
      EXPECT_THAT(units_of_stage(placed.stages[a_first ? 0 : 1]), ElementsAre("4", "5"));
      EXPECT_THAT(units_of_stage(placed.stages[a_first ? 1 : 0]), ElementsAre("0", "1", "2", "3"));
      EXPECT_FALSE(placed.oversubscribed);
    }
  }
}

TEST(PlanPlaces, LeaveRoomAlongAWholeRowOfThem) {
  const Plan placed = plan(topology_from_synthetic("core:6 pu:1"), {.stages = {{.name = "a", .place = "0-1"},
                                                                               {.name = "b", .place = "1-2"},
                                                                               {.name = "c", .place = "2-3"},
                                                                               {.name = "d", .place = "0"}}});
  std::vector<std::string> units;
  for (const StagePlan& stage : placed.stages)
    units.push_back(stage.workers[0].units.to_string());
  EXPECT_THAT(units, ElementsAre("1", "2", "3", "0"));
  EXPECT_FALSE(placed.oversubscribed);
}

TEST(PlanPlaces, ThatAreNotEnoughForTwoStagesAreSharedByBothAndThatIsSaid) {
  const Plan placed = plan(
      topology_from_synthetic("core:8 pu:1"),
      {.stages = {{.name = "a", .workers = 3, .place = "0-2"}, {.name = "b", .workers = 2, .place = "1-3"}}});
  for (const StagePlan& stage : placed.stages) {
    for (const Place& place : stage.workers)
      EXPECT_EQ(place.shared, place.units.intersects(CpuSet::parse("1-2"))) << place.units.to_string();
  }
  EXPECT_TRUE(placed.oversubscribed);
  EXPECT_THAT(placed.remarks, Contains(HasSubstr("a and b share 1-2")));
}

TEST(PlanPlaces, ThatAreAllThereIsAreSharedWithTheOtherStages) {
  const Plan placed = plan(topology_from_synthetic("core:4 pu:1"),
                           {.stages = {{.name = "parse", .workers = 4, .place = "0-3"}, {.name = "write"}}});
  EXPECT_TRUE(placed.oversubscribed);
  EXPECT_TRUE(placed.stages[0].workers[0].shared);
  EXPECT_TRUE(placed.stages[1].workers[0].shared);
}

TEST(PlanPlaces, ProveNothingOfTheStagesThatHaveThem) {
  const Topology machine =
      restricted(topology_from_synthetic("package:1 l3:2 core:4 pu:1"), CpuSet::parse("0-1,4-7"));
  EXPECT_FALSE(
      plan(machine, {.stages = {{.name = "a", .place = "package:0"}, {.name = "b"}, {.name = "c"}}}).optimal);
  EXPECT_TRUE(plan(machine, {.stages = {{.name = "a"}, {.name = "b"}, {.name = "c"}}}).optimal);
}

// The cores of these machines have two threads, and there are more cores than workers.
class FreeCores : public testing::Test {
 protected:
  static CpuSet cores_of(const Plan& plan, std::size_t stage) {
    CpuSet cores;
    for (const Place& place : plan.stages[stage].workers) {
      for (unsigned unit = 0; unit < 16; ++unit) {
        if (place.units.contains(unit)) cores.insert(unit / 2);
      }
    }
    return cores;
  }
  const Topology machine_ = topology_from_synthetic("core:8 pu:2");
};

TEST_F(FreeCores, AreNoneOfThoseOfStagesWithPlaces) {
  for (const char* place : {"core:0-1", "1,3"}) {
    const Plan placed =
        plan(machine_,
             {.stages = {{.name = "parse", .workers = 2, .place = place}, {.name = "book", .workers = 2}}});
    EXPECT_EQ(cores_of(placed, 0), CpuSet::parse("0-1"));
    EXPECT_EQ(cores_of(placed, 1).count(), 2U) << place;
    EXPECT_FALSE(cores_of(placed, 1).intersects(CpuSet::parse("0-1"))) << place;
  }
}

TEST_F(FreeCores, AreNoneOfThoseOfOtherPipelines) {
  for (const Smt smt : {Smt::last, Smt::never}) {
    for (const Policy policy : {Policy::automatic, Policy::compact, Policy::spread}) {
      PlanRequest request{.stages = {{.name = "parse", .workers = 4}}, .policy = policy};
      request.smt = smt;
      request.claims = {{CpuSet::parse("0,2,4,6"), "pipeline bank (pid 7)"}};
      const Plan placed = plan(machine_, request);
      EXPECT_EQ(cores_of(placed, 0), CpuSet::parse("4-7"));
    }
  }
}

TEST_F(FreeCores, AreNotThatOfTheHost) {
  const Plan placed = plan(machine_, {.stages = {{.name = "parse"}}, .host = CpuSet::parse("0")});
  EXPECT_FALSE(cores_of(placed, 0).contains(0)) << placed.stages[0].workers[0].units.to_string();
}

TEST_F(FreeCores, AreLeftToTheStagesWhosePlacesMeet) {
  const Plan placed = plan(machine_, {.stages = {{.name = "a", .workers = 2, .place = "core:2-5"},
                                                 {.name = "b", .workers = 4, .place = "core:0-3"}}});
  EXPECT_EQ(cores_of(placed, 0), CpuSet::parse("4-5"));
  EXPECT_EQ(cores_of(placed, 1), CpuSet::parse("0-3"));
}

TEST_F(FreeCores, AreNoneWhereAStageGoesAroundOthers) {
  const Plan placed = plan(machine_, {.stages = {{.name = "a", .place = "core:3-5"},
                                                 {.name = "b", .workers = 4, .place = "core:0-3"},
                                                 {.name = "c", .place = "8"}}});
  EXPECT_EQ(cores_of(placed, 0), CpuSet::parse("5"));
  EXPECT_EQ(cores_of(placed, 1), CpuSet::parse("0-3"));
}

TEST_F(FreeCores, AreWhatTheHostGetsToo) {
  const Plan placed = plan(machine_, {.stages = {{.name = "parse"}},
                                      .claims = {{CpuSet::parse("0,2,4"), "pipeline bank (pid 7)"}}});
  EXPECT_FALSE(placed.host.units.intersects(CpuSet::parse("0-5"))) << placed.host.units.to_string();
}

TEST_F(FreeCores, AreMissedWhereAWorkerIsBesideSomebodyElse) {
  const PlanRequest request{.stages = {{.name = "parse", .workers = 2}},
                            .claims = {{CpuSet::parse("0,2,4,6,8,10,12"), "pipeline bank (pid 7)"}}};
  const Plan placed = plan(machine_, request);
  EXPECT_EQ(cores_of(placed, 0).count(), 2U);
  EXPECT_TRUE(cores_of(placed, 0).contains(7));
  EXPECT_THAT(placed.remarks, Contains(HasSubstr("1 worker (1) on a core of which others hold a thread")));
}

TEST_F(FreeCores, AreNoneOfThoseOfWideWorkers) {
  const Plan placed =
      plan(machine_, {.stages = {{.name = "wide", .threads = 4}, {.name = "book", .workers = 4}},
                      .policy = Policy::compact});
  EXPECT_FALSE(cores_of(placed, 0).intersects(cores_of(placed, 1)));
}

TEST_F(FreeCores, AreCountedWithoutThoseThatOthersHaveAThreadOf) {
  const PlanRequest request{.stages = {{.name = "parse", .workers = kCores}},
                            .claims = {{CpuSet::parse("0,2,4,6"), "pipeline bank (pid 7)"}}};
  EXPECT_EQ(with_cores(machine_, request).stages[0].workers, 4U);
}

TEST(PlanPlaces, NameIsolatedUnitsAndSoAskForThem) {
  Topology machine = two_sockets();
  machine.units[0].isolated = true;
  const Plan placed = plan(machine, {.stages = {{.name = "parse", .place = "0"}}});
  EXPECT_THAT(units_of_stage(placed.stages[0]), ElementsAre("0"));
}

TEST(PlanPlaces, HoldUnderPoliciesThatPinNothingElse) {
  for (const Policy policy : {Policy::floating, Policy::none}) {
    const Plan placed = plan(
        two_sockets(), {.stages = {{.name = "read"}, {.name = "parse", .place = "14"}}, .policy = policy});
    EXPECT_THAT(units_of_stage(placed.stages[1]), ElementsAre("14"));
    EXPECT_THAT(units_of_stage(placed.stages[0]), ElementsAre("0-13,15"));
    EXPECT_FALSE(placed.oversubscribed);
  }
}

TEST(PlanPlaces, AvoidWhereOthersAreWhileThereIsRoomAndSayWhatTheyShare) {
  const PlanRequest request{.stages = {{.name = "parse", .workers = 2, .place = "l3:0"}},
                            .claims = {{CpuSet::parse("0-1"), "pipeline bank (pid 7)"}}};
  const Plan beside = plan(two_sockets(), request);
  EXPECT_THAT(units_of_stage(beside.stages[0]), ElementsAre("2", "3"));
  EXPECT_FALSE(beside.oversubscribed);
  PlanRequest narrow = request;
  narrow.stages[0].place = "0,2";
  const Plan met = plan(two_sockets(), narrow);
  EXPECT_THAT(units_of_stage(met.stages[0]), ElementsAre("2", "0"));
  EXPECT_FALSE(met.stages[0].workers[0].shared);
  EXPECT_TRUE(met.stages[0].workers[1].shared);
  EXPECT_THAT(met.remarks, Contains("parse shares 0 with pipeline bank (pid 7), as its place says"));
}

TEST(PlanPlaces, HaveOneWorkerForEachCoreWhereSiblingsAreNotToBeUsed) {
  const Plan placed = plan(
      two_sockets(), {.stages = {{.name = "parse", .workers = 4, .place = "package:0"}}, .smt = Smt::never});
  EXPECT_THAT(units_of_stage(placed.stages[0]), ElementsAre("0", "2", "4", "6"));
}

TEST(PlanPlaces, ThatAreReservedAreRefused) {
  for (const char* place : {"0-1", "cores"}) {
    EXPECT_THAT(error_of([place] {
                  plan(two_sockets(), {.stages = {{.name = "parse", .place = place}},
                                       .reserved = CpuSet::parse(place[0] == '0' ? "0-3" : "0-14")});
                }),
                AllOf(HasSubstr("cannot place the stage parse"), HasSubstr("reserve fewer units")));
  }
}

TEST(PlanPlaces, AreRefusedByTheNameOfTheirStage) {
  EXPECT_THAT(error_of([] { plan(two_sockets(), {.stages = {{.name = "parse", .place = "core:9"}}}); }),
              HasSubstr("cannot read the place of parse, at character 6 of \"core:9\""));
}

TEST(PlanReserved, TellsOfUnitsThatItCouldNotUseAnyway) {
  const Plan placed = plan(two_sockets(), {.stages = {{.name = "parse"}}, .reserved = CpuSet::parse("0,40")});
  EXPECT_THAT(
      placed.remarks,
      Contains("reserved processing units 40 are none that this pipeline could use: allowed are 0-15"));
}

}  // namespace
}  // namespace sluice::pinning
