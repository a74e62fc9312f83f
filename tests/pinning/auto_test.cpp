// SPDX-License-Identifier: Apache-2.0
// Policy auto: events have the shortest way, workers have a core each.
#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <sluice/pinning/distance.hpp>
#include <sluice/pinning/plan.hpp>

#include "expect_error.hpp"

namespace sluice::pinning {
namespace {

using testing::Contains;
using testing::HasSubstr;

PlanRequest auto_request(const std::vector<unsigned>& workers) {
  PlanRequest request;
  for (const unsigned count : workers) {
    std::string name{"s"};
    name += std::to_string(request.stages.size());
    request.stages.push_back({.name = name, .workers = count});
  }
  return request;
}

// How many workers of a stage run on each node.
std::map<int, int> per_node(const StagePlan& stage) {
  std::map<int, int> counts;
  for (const Place& place : stage.workers)
    ++counts[place.numa_node];
  return counts;
}

// What each plan that uses a core for each worker costs, the cheapest of all: tried one by one.
double cheapest(const Topology& machine, const PlanRequest& request, const Plan& like) {
  std::vector<const ProcessingUnit*> units;
  for (const ProcessingUnit& unit : machine.units)
    units.push_back(&unit);
  const Distances distances{machine, request.costs};
  std::size_t workers = 0;
  for (const StageRequest& stage : request.stages)
    workers += stage.workers;
  std::vector<std::size_t> seat_of(workers);
  std::vector<bool> taken(units.size(), false);
  double best = 1e300;
  const auto cost = [&] {
    double sum = 0;
    for (const LanePlan& lane : like.lanes)
      sum += lane.rate * distances.between(*units[seat_of[lane.from]], *units[seat_of[lane.to]]);
    return sum;
  };
  const auto descend = [&](const auto& self, std::size_t worker) -> void {
    if (worker == workers) {
      best = std::min(best, cost());
      return;
    }
    for (std::size_t seat = 0; seat < units.size(); ++seat) {
      if (taken[seat]) continue;
      taken[seat] = true;
      seat_of[worker] = seat;
      self(self, worker + 1);
      taken[seat] = false;
    }
  };
  descend(descend, 0);
  return best;
}

TEST(PlanAuto, HalvesTwoStagesOverTwoSocketsSoThatHalfOfTheEventsStay) {
  const Topology machine = topology_from_synthetic("package:2 [numa] l3:1 core:64 pu:1");
  const Plan placed =
      plan(machine, {.stages = {{.name = "parse", .workers = 60}, {.name = "book", .workers = 60}}});
  EXPECT_FALSE(placed.oversubscribed);
  for (const StagePlan& stage : placed.stages) {
    for (const auto& [node, count] : per_node(stage)) {
      EXPECT_GE(count, 28) << stage.name << " on node " << node;
      EXPECT_LE(count, 32) << stage.name << " on node " << node;
    }
  }
  PlanRequest in_order = auto_request({60, 60});
  in_order.policy = Policy::compact;
  EXPECT_LT(placed.cost, 0.65 * plan(machine, in_order).cost);
}

TEST(PlanAuto, KeepsAPipelineUnderOneCacheWhereOneHasRoom) {
  const Topology machine =
      restricted(topology_from_synthetic("package:1 l3:2 core:4 pu:1"), CpuSet::parse("0-1,4-7"));
  const Plan placed = plan(machine, auto_request({1, 2, 1}));
  for (const LanePlan& lane : placed.lanes)
    EXPECT_EQ(lane.distance, nominal_cost(Reach::l3));
  EXPECT_TRUE(placed.optimal);
}

TEST(PlanAuto, KeepsThoseTogetherThatTalkMostByWhatWasMeasured) {
  // Four readers that feed one parser each, by measurement: one of the lanes of each reader carries all.
  const Topology machine = topology_from_synthetic("package:4 [numa] l3:1 core:2 pu:1");
  PlanRequest request = auto_request({4, 3});
  request.flows = {{.from = 0, .to = 1, .lane_rates = {0, 0, 90, 80, 0, 0, 0, 70, 0, 0, 0, 1}}};
  const Plan placed = plan(machine, request);
  for (const LanePlan& lane : placed.lanes) {
    if (lane.rate > 1) {
      EXPECT_EQ(lane.distance, 45);
    }
  }
}

TEST(PlanAuto, FollowsMeasuredCostsWhereTheyAreSteadyAndSaysSoWhereNot) {
  const Topology machine = topology_from_synthetic("l3:1 core:4 pu:1");
  PlanRequest request = auto_request({1, 1});
  request.costs = {.units = {0, 1, 2, 3},
                   .nanoseconds = {0, 90, 90, 90, 90, 0, 90, 30, 90, 90, 0, 90, 90, 30, 90, 0}};
  const Plan placed = plan(machine, request);
  EXPECT_EQ(placed.cost, 30);
  EXPECT_TRUE(placed.measured_costs);
  request.costs.steady = false;
  const Plan unsure = plan(machine, request);
  EXPECT_FALSE(unsure.measured_costs);
  EXPECT_THAT(unsure.remarks, Contains(HasSubstr("wander between caches")));
}

TEST(PlanAuto, CostsWhatTheCheapestOfAllPlansCosts) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random{seed};
  const auto below = [&random](std::size_t bound) { return random() % bound; };
  for (const char* text : {"package:2 [numa] l3:2 core:2 pu:1", "package:3 [numa] core:2 pu:1",
                           "package:2 [numa] l3:1 l2:2 core:2 pu:1"}) {
    const Topology machine = topology_from_synthetic(text);
    for (int round = 0; round < 6; ++round) {
      PlanRequest request = auto_request({2, 2, 1});
      for (const auto& [from, to] : {std::pair{0, 1}, std::pair{1, 2}, std::pair{0, 2}}) {
        Flow flow{.from = static_cast<std::size_t>(from), .to = static_cast<std::size_t>(to)};
        const std::size_t lanes =
            std::size_t{request.stages[flow.from].workers} * request.stages[flow.to].workers;
        for (std::size_t lane = 0; lane < lanes; ++lane)
          flow.lane_rates.push_back(static_cast<double>(below(100)));
        request.flows.push_back(flow);
      }
      const Plan placed = plan(machine, request);
      EXPECT_TRUE(placed.optimal);
      EXPECT_NEAR(placed.cost, cheapest(machine, request, placed), 1e-6) << text;
    }
  }
}

TEST(PlanAuto, TakesFastCoresFirstAndSiblingsLastWhateverTheDistance) {
  Topology machine = topology_from_synthetic("package:2 [numa] l3:1 core:2 pu:2");
  for (ProcessingUnit& unit : machine.units)
    unit.efficiency = unit.package;
  const Plan placed = plan(machine, auto_request({1, 2, 1}));
  std::set<std::string> units;
  for (const StagePlan& stage : placed.stages) {
    for (const Place& place : stage.workers)
      units.insert(place.units.to_string());
  }
  EXPECT_EQ(units, (std::set<std::string>{"0", "2", "4", "6"}));
  const Plan small = plan(machine, auto_request({1, 1}));
  EXPECT_EQ(small.stages[0].workers[0].numa_node, 1);
  EXPECT_EQ(small.stages[1].workers[0].numa_node, 1);
}

TEST(PlanAuto, UsesNoSiblingsWhereNoneMayBeUsed) {
  const Topology machine = topology_from_synthetic("l3:1 core:2 pu:2");
  PlanRequest request = auto_request({1, 2});
  EXPECT_FALSE(plan(machine, request).oversubscribed);
  request.smt = Smt::never;
  EXPECT_TRUE(plan(machine, request).oversubscribed);
}

TEST(PlanAuto, LeavesTheHostACoreNearTheWorkersThatItFeeds) {
  const Topology machine = topology_from_synthetic("package:2 [numa] l3:1 core:4 pu:1");
  PlanRequest request = auto_request({1, 3});
  request.flows = {{.from = kHost, .to = 0, .rate = 1000}, {.from = 0, .to = 1, .rate = 10}};
  const Plan placed = plan(machine, request);
  EXPECT_EQ(placed.host.numa_node, placed.stages[0].workers[0].numa_node);
}

TEST(PlanAuto, KeepsTheThreadsOfAWideWorkerUnderOneCache) {
  const Topology machine = topology_from_synthetic("package:2 [numa] l3:2 core:4 pu:2");
  const Plan placed = plan(machine, {.stages = {{.name = "read"},
                                                {.name = "parse", .workers = 2, .threads = 3},
                                                {.name = "book", .workers = 2}}});
  for (const Place& place : placed.stages[1].workers) {
    EXPECT_EQ(place.units.count(), 3U);
    std::set<int> caches;
    for (const ProcessingUnit& unit : machine.units) {
      if (place.units.contains(unit.os_index)) caches.insert(unit.l3);
    }
    EXPECT_EQ(caches.size(), 1U);
  }
  EXPECT_FALSE(placed.oversubscribed);
}

TEST(PlanAuto, SaysWhereAWideWorkerHasRoomUnderNoCache) {
  const Topology machine = topology_from_synthetic("package:2 [numa] l3:1 core:4 pu:1");
  const Plan placed = plan(machine, {.stages = {{.name = "parse", .threads = 6}}});
  EXPECT_EQ(placed.stages[0].workers[0].units.count(), 6U);
  EXPECT_THAT(placed.remarks, Contains(HasSubstr("parse/0 has 6 units under no one cache, node or package")));
}

TEST(PlanAuto, GroupsThoseThatTalkMostWhereThereAreTooFewUnits) {
  const Topology machine = topology_from_synthetic("l3:1 core:2 pu:1");
  PlanRequest request = auto_request({2, 2});
  request.grouping = Grouping::unit;
  request.flows = {{.from = 0, .to = 1, .lane_rates = {1, 100, 100, 1}}};
  const Plan placed = plan(machine, request);
  EXPECT_TRUE(placed.oversubscribed);
  EXPECT_EQ(placed.stages[0].workers[0].units, placed.stages[1].workers[1].units);
  EXPECT_EQ(placed.stages[0].workers[1].units, placed.stages[1].workers[0].units);
  EXPECT_NE(placed.stages[0].workers[0].units, placed.stages[0].workers[1].units);
  EXPECT_THAT(placed.remarks, Contains(HasSubstr("99 % of the events stay on theirs")));
}

TEST(PlanAuto, PlacesWorkersOfManyCoresTheSameEveryTime) {
  const Topology machine = topology_from_synthetic("package:2 [numa] l3:16 core:8 pu:2");
  const PlanRequest request = auto_request({1, 100, 100, 54});
  const Plan placed = plan(machine, request);
  EXPECT_FALSE(placed.oversubscribed);
  EXPECT_EQ(to_text(placed), to_text(plan(machine, request)));
  PlanRequest compact = request;
  compact.policy = Policy::compact;
  EXPECT_LE(placed.cost, plan(machine, compact).cost);
}

}  // namespace
}  // namespace sluice::pinning
