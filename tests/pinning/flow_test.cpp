// SPDX-License-Identifier: Apache-2.0
// What a plan is told of the pipeline and of the machine's other users, and what it tells of lanes and costs.
#include <string>
#include <vector>

#include <sluice/pinning/distance.hpp>
#include <sluice/pinning/plan.hpp>

#include "expect_error.hpp"

namespace sluice::pinning {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

const ProcessingUnit& unit(const Topology& topology, unsigned os_index) {
  for (const ProcessingUnit& each : topology.units) {
    if (each.os_index == os_index) return each;
  }
  throw std::logic_error{"no such unit"};
}

std::vector<double> rates_of(const Plan& placed) {
  std::vector<double> rates;
  for (const LanePlan& lane : placed.lanes)
    rates.push_back(lane.rate);
  return rates;
}

TEST(Reach, IsTheInnermostThingThatTwoUnitsShare) {
  const Topology machine = topology_from_synthetic("package:2 [numa] l3:2 l2:2 core:2 pu:2");
  const auto reach = [&](unsigned left, unsigned right) {
    return reach_between(unit(machine, left), unit(machine, right));
  };
  EXPECT_EQ(reach(3, 3), Reach::unit);
  EXPECT_EQ(reach(0, 1), Reach::core);
  EXPECT_EQ(reach(0, 2), Reach::l2);
  EXPECT_EQ(reach(0, 4), Reach::l3);
  EXPECT_EQ(reach(0, 8), Reach::node);
  EXPECT_EQ(reach(0, 16), Reach::machine);
  const Topology nodes = topology_from_synthetic("package:2 numa:2 core:1 pu:1");
  EXPECT_EQ(reach_between(unit(nodes, 0), unit(nodes, 1)), Reach::die);
}

TEST(Distances, FollowTheFirmwareWhereNodesLieFartherApartThanUsual) {
  Topology machine = topology_from_synthetic("package:2 [numa] core:1 pu:1");
  const MeasuredCosts none;
  machine.node_distances.clear();
  EXPECT_EQ((Distances{machine, none}.between(machine.units[0], machine.units[1])), 250);
  machine.node_distances = {10, 40, 40, 10};
  EXPECT_EQ((Distances{machine, none}.between(machine.units[0], machine.units[1])), 400);
}

TEST(Distances, AreMeasuredOnesWhereTheyAreSteadyAndNominalOnesElsewhere) {
  const Topology machine = topology_from_synthetic("l3:1 core:3 pu:1");
  MeasuredCosts measured{.units = {0, 1}, .nanoseconds = {0, 70, 90, 0}};
  const Distances distances{machine, measured};
  EXPECT_TRUE(distances.measured());
  EXPECT_EQ(distances.between(machine.units[0], machine.units[1]), 80);
  EXPECT_EQ(distances.between(machine.units[0], machine.units[2]), nominal_cost(Reach::l3));
  measured.steady = false;
  EXPECT_FALSE((Distances{machine, measured}.measured()));
  EXPECT_EQ((Distances{machine, measured}.between(machine.units[0], machine.units[1])), 45);
}

TEST(Distances, RefuseAMatrixThatIsNoSquareOfTimes) {
  const Topology machine = topology_from_synthetic("core:2 pu:1");
  EXPECT_THAT(error_of([&] {
                const MeasuredCosts costs{.units = {0, 1}, .nanoseconds = {0, 1, 1}};
                (void)Distances{machine, costs};
              }),
              HasSubstr("2 units have 3 costs and not 4"));
  EXPECT_THAT(error_of([&] {
                const MeasuredCosts costs{.units = {0, 1}, .nanoseconds = {0, -1, 1, 0}};
                (void)Distances{machine, costs};
              }),
              HasSubstr("-1 is no time"));
}

TEST(PlanLanes, ListsEveryLaneWithItsShareOfTheEventsAndTheNodeOfItsConsumer) {
  const Topology machine = topology_from_synthetic("package:2 [numa] l3:1 core:4 pu:1");
  const Plan placed = plan(machine, {.stages = {{.name = "read"}, {.name = "parse", .workers = 2}},
                                     .flows = {{.from = 0, .to = 1, .lane_bytes = 4096}},
                                     .policy = Policy::spread});
  ASSERT_THAT(placed.lanes, SizeIs(2));
  EXPECT_THAT(rates_of(placed), ElementsAre(0.5, 0.5));
  EXPECT_EQ(placed.lanes[0].numa_node, 1);
  EXPECT_EQ(placed.lanes[1].numa_node, 0);
  EXPECT_EQ(placed.lanes[0].distance, 250);
  EXPECT_EQ(placed.lanes[1].distance, 45);
  EXPECT_EQ(placed.cost, 0.5 * 250 + 0.5 * 45);
  EXPECT_EQ(placed.memory_bytes.at(0), 4096U);
  EXPECT_EQ(placed.memory_bytes.at(1), 4096U);
}

TEST(PlanLanes, CarryEveryEventWhereItIsBroadcastAndLeadFromEachToOneWhereItIsOneToOne) {
  const Topology machine = topology_from_synthetic("core:16 pu:1");
  const auto lanes = [&](Traffic traffic, unsigned producers, unsigned consumers) {
    return rates_of(
        plan(machine, {.stages = {{.name = "a", .workers = producers}, {.name = "b", .workers = consumers}},
                       .flows = {{.from = 0, .to = 1, .traffic = traffic, .rate = 8}}}));
  };
  EXPECT_THAT(lanes(Traffic::routed, 2, 2), ElementsAre(2, 2, 2, 2));
  EXPECT_THAT(lanes(Traffic::broadcast, 2, 2), ElementsAre(4, 4, 4, 4));
  EXPECT_THAT(lanes(Traffic::one_to_one, 2, 2), ElementsAre(4, 4));
  EXPECT_THAT(lanes(Traffic::one_to_one, 2, 4), ElementsAre(2, 2, 2, 2));
}

TEST(PlanLanes, CarryWhatWasMeasuredAndWhatFollowsFromItElsewhere) {
  const Topology machine = topology_from_synthetic("core:16 pu:1");
  const Plan placed =
      plan(machine, {.stages = {{.name = "a"}, {.name = "b", .workers = 2}, {.name = "c"}},
                     .flows = {{.from = 0, .to = 1, .lane_rates = {30, 10}}, {.from = 1, .to = 2}}});
  EXPECT_THAT(rates_of(placed), ElementsAre(30, 10, 20, 20));
}

TEST(PlanLanes, LeadFromAndToTheHostToo) {
  const Topology machine = topology_from_synthetic("l3:1 core:4 pu:1");
  const Plan placed = plan(
      machine, {.stages = {{.name = "a"}}, .flows = {{.from = kHost, .to = 0}, {.from = 0, .to = kHost}}});
  ASSERT_THAT(placed.lanes, SizeIs(2));
  EXPECT_EQ(placed.lanes[0].from, kHost);
  EXPECT_EQ(placed.lanes[1].to, kHost);
  EXPECT_EQ(placed.cost, 90);
}

TEST(PlanLanes, RefuseAFlowThatDoesNotFitTheStages) {
  const Topology machine = topology_from_synthetic("core:4 pu:1");
  EXPECT_THAT(error_of([&] { plan(machine, {.stages = {{.name = "a"}}, .flows = {{.from = 0, .to = 3}}}); }),
              HasSubstr("there is 1 stage and no stage 3"));
  EXPECT_THAT(error_of([&] {
                plan(machine, {.stages = {{.name = "a"}, {.name = "b", .workers = 2}},
                               .flows = {{.from = 0, .to = 1, .lane_rates = {1}}}});
              }),
              HasSubstr("it has 2 lanes and rates for 1 of them"));
}

TEST(PlanReserved, UnitsAreUsedByNoProcess) {
  const Topology machine = topology_from_synthetic("core:4 pu:1");
  const Plan placed = plan(machine, {.stages = {{.name = "a"}}, .reserved = CpuSet::parse("0,2")});
  EXPECT_EQ(placed.stages[0].workers[0].units.to_string(), "1");
  EXPECT_EQ(placed.host.units.to_string(), "3");
  EXPECT_THAT(error_of([&] { plan(machine, {.stages = {{.name = "a"}}, .reserved = CpuSet::parse("0-3")}); }),
              HasSubstr("0-3 are reserved"));
}

TEST(PlanClaims, ArePlannedAroundWhileAnythingIsLeftAndSaidByTheirOwner) {
  const Topology machine = topology_from_synthetic("core:4 pu:1");
  const Plan placed =
      plan(machine, {.stages = {{.name = "a"}}, .claims = {{CpuSet::parse("0-1"), "market"}}});
  EXPECT_EQ(placed.stages[0].workers[0].units.to_string(), "2");
  EXPECT_EQ(placed.host.units.to_string(), "3");
  EXPECT_FALSE(placed.oversubscribed);
  EXPECT_THAT(placed.remarks, ElementsAre("planned around market (0-1)"));
}

TEST(PlanClaims, AreSharedWhereNothingElseIsLeftAndThatIsSaid) {
  const Topology machine = topology_from_synthetic("core:2 pu:1");
  const Plan placed =
      plan(machine, {.stages = {{.name = "a"}}, .claims = {{CpuSet::parse("0-1"), "market"}}});
  EXPECT_TRUE(placed.oversubscribed);
  EXPECT_TRUE(placed.stages[0].workers[0].shared);
  EXPECT_THAT(placed.remarks, Contains(HasSubstr("no unit is left beside market (0-1)")));
}

TEST(PlanHost, IsPlannedAroundWhereItIsBoundAlready) {
  const Topology machine = topology_from_synthetic("core:4 pu:1");
  const Plan placed = plan(machine, {.stages = {{.name = "a", .workers = 3}}, .host = CpuSet{0}});
  EXPECT_EQ(placed.stages[0].workers[0].units.to_string(), "1");
  EXPECT_EQ(placed.host.units.to_string(), "0");
  EXPECT_FALSE(placed.oversubscribed);
  const Plan alone = plan(topology_from_synthetic("pu:1"), {.stages = {{.name = "a"}}, .host = CpuSet{0}});
  EXPECT_TRUE(alone.oversubscribed);
  EXPECT_THAT(alone.remarks, Contains(HasSubstr("the host is bound to 0")));
}

TEST(PlanFloat, LeavesProcessesToTheKernelOnAllThatThePlanMayUse) {
  Topology machine = topology_from_synthetic("core:4 pu:1");
  machine.units[3].isolated = true;
  const Plan placed = plan(
      machine, {.stages = {{.name = "a"}}, .policy = Policy::floating, .claims = {{CpuSet{0}, "market"}}});
  EXPECT_EQ(placed.stages[0].workers[0].units.to_string(), "1-2");
}

}  // namespace
}  // namespace sluice::pinning
