// SPDX-License-Identifier: Apache-2.0
// Where the processes of a pipeline go, on machines that nobody here has.
#include <cstddef>
#include <filesystem>
#include <random>
#include <set>
#include <string>
#include <vector>

#include <sluice/pinning/plan.hpp>

#include "expect_error.hpp"
#include "rounds.hpp"

namespace sluice::pinning {
namespace {

using testing::Contains;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::filesystem::path kMachines = MACHINES_DIR;

PlanRequest request_of(const std::vector<unsigned>& workers, Policy policy = Policy::compact) {
  PlanRequest request{.stages = {}, .policy = policy};
  for (const unsigned count : workers) {
    std::string name{"s"};
    name += std::to_string(request.stages.size());
    request.stages.push_back({.name = name, .workers = count});
  }
  return request;
}

std::vector<Place> workers_of(const Plan& plan) {
  std::vector<Place> places;
  for (const StagePlan& stage : plan.stages) {
    places.insert(places.end(), stage.workers.begin(), stage.workers.end());
  }
  return places;
}

// The cpulists of all workers in stage order.
std::vector<std::string> units_of(const Plan& plan) {
  std::vector<std::string> lists;
  for (const Place& place : workers_of(plan))
    lists.push_back(place.units.to_string());
  return lists;
}

const ProcessingUnit& unit_of(const Topology& topology, const Place& place) {
  for (const ProcessingUnit& unit : topology.units) {
    if (place.units == CpuSet{unit.os_index}) return unit;
  }
  throw std::logic_error{"the place is not one unit of the machine"};
}

void isolate(Topology& topology, const CpuSet& units) {
  for (ProcessingUnit& unit : topology.units)
    unit.isolated = units.contains(unit.os_index);
}

TEST(Plan, GivesEachWorkerACoreInStageOrderAndTheRestToHostAndMaster) {
  const Plan placed = plan(topology_from_synthetic("package:1 l3:1 core:4 pu:1"), request_of({1, 1}));
  EXPECT_THAT(units_of(placed), ElementsAre("0", "1"));
  EXPECT_EQ(placed.host.units.to_string(), "2-3");
  EXPECT_FALSE(placed.oversubscribed);
  EXPECT_THAT(placed.remarks, IsEmpty());
  EXPECT_FALSE(placed.host.shared);
}

TEST(Plan, KeepsTheNamesAndTheOrderOfTheStages) {
  const Plan placed = plan(topology_from_synthetic("core:8 pu:1"),
                           {.stages = {{.name = "read", .workers = 2}, {.name = "bars", .workers = 3}}});
  ASSERT_EQ(placed.stages.size(), 2U);
  EXPECT_EQ(placed.stages[0].name, "read");
  EXPECT_EQ(placed.stages[0].workers.size(), 2U);
  EXPECT_EQ(placed.stages[1].name, "bars");
  EXPECT_EQ(placed.stages[1].workers.size(), 3U);
}

TEST(Plan, TakesSmtSiblingsLastAndSaysSo) {
  const Topology machine = topology_from_synthetic("package:1 l3:1 core:4 pu:2");
  EXPECT_THAT(units_of(plan(machine, request_of({3}))), ElementsAre("0", "2", "4"));
  const Plan full = plan(machine, request_of({5}));
  EXPECT_THAT(units_of(full), ElementsAre("0", "2", "4", "6", "1"));
  EXPECT_FALSE(full.oversubscribed);
  EXPECT_THAT(full.remarks, ElementsAre(HasSubstr("5 workers run on 4 cores")));
}

TEST(Plan, CountsASiblingAsACoreWhereTheFirstThreadIsNotAllowed) {
  const Topology machine =
      restricted(topology_from_synthetic("package:1 l3:1 core:4 pu:2"), CpuSet::parse("1,2,3,5"));
  EXPECT_THAT(units_of(plan(machine, request_of({3}))), ElementsAre("1", "2", "5"));
}

TEST(Plan, GivesHostAndMasterAFreeCoreBeforeTheSiblingOfAWorker) {
  const Topology machine = topology_from_synthetic("package:1 l3:1 core:4 pu:2");
  EXPECT_EQ(plan(machine, request_of({3})).host.units.to_string(), "6-7");
  EXPECT_EQ(plan(machine, request_of({4})).host.units.to_string(), "1,3,5,7");
}

TEST(Plan, TakesFasterCoresFirstThenSlowerOnesThenSiblings) {
  const Topology machine = topology_from_xml(kMachines / "hybrid.xml");
  EXPECT_THAT(units_of(plan(machine, request_of({3}))), ElementsAre("0", "2", "4"));
  const Plan mixed = plan(machine, request_of({6}));
  EXPECT_THAT(units_of(mixed), ElementsAre("0", "2", "4", "6", "8", "10"));
  EXPECT_THAT(mixed.remarks, ElementsAre("2 workers on a slower kind of core (8,10)"));
  EXPECT_THAT(units_of(plan(machine, request_of({9}))),
              ElementsAre("0", "2", "4", "6", "8", "10", "12", "14", "1"));
}

TEST(Plan, StaysInsideThePartOfTheMachineThatIsOnlineAndAllowed) {
  const Plan placed = plan(topology_from_xml(kMachines / "partial.xml"), request_of({3}));
  EXPECT_THAT(units_of(placed), ElementsAre("0", "1", "3"));
  EXPECT_EQ(placed.host.units.to_string(), "4");
}

TEST(PlanCompact, KeepsAPipelineUnderOneCacheWhereOneHasRoom) {
  // The first cache has two allowed cores and the second four: only that one holds three workers.
  const Topology machine =
      restricted(topology_from_synthetic("package:1 l3:2 core:4 pu:1"), CpuSet::parse("0-1,4-7"));
  EXPECT_THAT(units_of(plan(machine, request_of({1, 2}))), ElementsAre("4", "5", "6"));
  EXPECT_THAT(units_of(plan(machine, request_of({1, 1}))), ElementsAre("0", "1"));
}

TEST(PlanCompact, KeepsAPipelineInOnePackageWhereNoCacheHasRoom) {
  const Topology machine =
      restricted(topology_from_synthetic("package:2 [numa] l3:2 core:2 pu:1"), CpuSet::parse("0-2,4-7"));
  EXPECT_THAT(units_of(plan(machine, request_of({4}))), ElementsAre("4", "5", "6", "7"));
}

TEST(PlanCompact, CrossesFromPackageToPackageOnceWhereNoneHasRoom) {
  const Topology machine = topology_from_synthetic("package:2 [numa] l3:1 core:4 pu:2");
  const Plan placed = plan(machine, request_of({2, 4, 4}));
  int crossings = 0;
  const std::vector<Place> workers = workers_of(placed);
  for (std::size_t i = 1; i < workers.size(); ++i) {
    if (unit_of(machine, workers[i]).package != unit_of(machine, workers[i - 1]).package) ++crossings;
  }
  EXPECT_EQ(crossings, 1);
}

TEST(PlanCompact, PutsTheHostOnTheNodeOfTheFirstWorker) {
  const Topology machine = topology_from_synthetic("package:2 [numa] l3:1 core:4 pu:1");
  EXPECT_EQ(plan(machine, request_of({3})).host.units.to_string(), "3");
  EXPECT_EQ(plan(machine, request_of({4})).host.units.to_string(), "4-7");
}

TEST(PlanSpread, PutsTheHostOnTheNodeOfTheFirstWorkerAndNotOfTheLast) {
  const Topology machine = topology_from_synthetic("package:2 [numa] l3:1 core:4 pu:1");
  const Plan placed = plan(machine, request_of({4}, Policy::spread));
  ASSERT_NE(unit_of(machine, workers_of(placed).front()).package,
            unit_of(machine, workers_of(placed).back()).package);
  EXPECT_EQ(placed.host.units.to_string(), "2-3");
}

TEST(PlanSpread, DealsWorkersOverPackagesAndCachesInTurn) {
  const Topology machine = topology_from_synthetic("package:2 [numa] l3:2 core:2 pu:1");
  EXPECT_THAT(units_of(plan(machine, request_of({6}, Policy::spread))),
              ElementsAre("0", "4", "2", "6", "1", "5"));
}

TEST(PlanSpread, TakesSiblingsLastToo) {
  const Topology machine = topology_from_synthetic("package:2 [numa] l3:1 core:2 pu:2");
  EXPECT_THAT(units_of(plan(machine, request_of({5}, Policy::spread))), ElementsAre("0", "4", "2", "6", "1"));
}

TEST(PlanNone, LeavesEveryProcessAllAllowedUnits) {
  const Topology machine = restricted(topology_from_synthetic("core:8 pu:1"), CpuSet::parse("1-6"));
  const Plan placed = plan(machine, request_of({2, 1}, Policy::none));
  EXPECT_THAT(units_of(placed), ElementsAre("1-6", "1-6", "1-6"));
  EXPECT_EQ(placed.host.units.to_string(), "1-6");
  EXPECT_FALSE(placed.oversubscribed);
}

TEST(PlanMemory, NamesTheNodeOfEachWorker) {
  const Topology machine = topology_from_synthetic("package:2 [numa] l3:1 core:2 pu:1");
  const Plan placed = plan(machine, request_of({1, 1}, Policy::spread));
  EXPECT_EQ(placed.stages[0].workers[0].numa_node, 0);
  EXPECT_EQ(placed.stages[1].workers[0].numa_node, 1);
}

TEST(PlanMemory, NamesNoNodeWhereThePlaceSpansSeveral) {
  const Topology machine = topology_from_synthetic("package:2 [numa] l3:1 core:2 pu:1");
  EXPECT_EQ(plan(machine, request_of({1}, Policy::none)).host.numa_node, -1);
}

TEST(PlanMemory, NamesNoNodeThatThisProcessMayNotUseAndSaysSo) {
  Topology machine = topology_from_synthetic("package:2 [numa] l3:1 core:2 pu:1");
  machine.nodes[1].allowed = false;
  const Plan placed = plan(machine, request_of({1, 1}, Policy::spread));
  EXPECT_EQ(placed.stages[0].workers[0].numa_node, 0);
  EXPECT_EQ(placed.stages[1].workers[0].numa_node, -1);
  EXPECT_THAT(placed.remarks, Contains(HasSubstr("memory of NUMA node 1 is not allowed")));
}

TEST(PlanIsolated, LeavesIsolatedUnitsToOthersAndSaysSo) {
  Topology machine = topology_from_synthetic("package:1 l3:1 core:4 pu:1");
  isolate(machine, CpuSet::parse("0-1"));
  const Plan placed = plan(machine, request_of({1}));
  EXPECT_THAT(units_of(placed), ElementsAre("2"));
  EXPECT_EQ(placed.host.units.to_string(), "3");
  EXPECT_THAT(placed.remarks, ElementsAre(HasSubstr("isolated processing units 0-1 are left alone")));
}

TEST(PlanIsolated, UsesIsolatedUnitsWhereNothingElseIsAllowed) {
  Topology machine = topology_from_synthetic("package:1 l3:1 core:4 pu:1");
  isolate(machine, CpuSet::parse("2-3"));
  const Plan placed = plan(restricted(machine, CpuSet::parse("2-3")), request_of({1}));
  EXPECT_THAT(units_of(placed), ElementsAre("2"));
  EXPECT_THAT(placed.remarks, IsEmpty());
}

TEST(PlanIsolated, BindsEachWorkerToOneUnitEvenWhenTheyShare) {
  Topology machine = topology_from_synthetic("package:1 l3:1 core:2 pu:1");
  isolate(machine, CpuSet::parse("0-1"));
  EXPECT_THAT(units_of(plan(machine, request_of({4}))), ElementsAre("0", "0", "1", "1"));
  EXPECT_THAT(units_of(plan(machine, request_of({4}, Policy::spread))), ElementsAre("0", "1", "0", "1"));
}

TEST(PlanOversubscribed, SharesTheUnitsOfOneCacheAmongMoreWorkersThanUnitsAndSaysSo) {
  const Plan placed = plan(topology_from_synthetic("package:1 l3:1 core:2 pu:1"), request_of({2, 3}));
  EXPECT_TRUE(placed.oversubscribed);
  EXPECT_THAT(units_of(placed), Each(std::string{"0-1"}));
  EXPECT_THAT(workers_of(placed), Each(testing::Field(&Place::shared, true)));
  EXPECT_TRUE(placed.host.shared);
  EXPECT_THAT(placed.remarks, ElementsAre(HasSubstr("5 workers share 2 processing units (0-1)")));
}

TEST(PlanOversubscribed, DealsWorkersEvenlyOverCachesSoThatNeighboursStayTogether) {
  const Topology machine = topology_from_synthetic("package:2 [numa] l3:1 core:2 pu:1");
  const Plan placed = plan(machine, request_of({8}));
  EXPECT_THAT(units_of(placed), ElementsAre("0-1", "0-1", "0-1", "0-1", "2-3", "2-3", "2-3", "2-3"));
  EXPECT_EQ(workers_of(placed)[7].numa_node, 1);
  EXPECT_EQ(placed.host.units.to_string(), "0-3");
}

TEST(PlanOversubscribed, CountsTheHostAsOneThatNeedsAUnit) {
  const Topology machine = topology_from_synthetic("package:1 l3:1 core:2 pu:1");
  EXPECT_FALSE(plan(machine, request_of({1})).oversubscribed);
  const Plan full = plan(machine, request_of({2}));
  EXPECT_TRUE(full.oversubscribed);
  EXPECT_THAT(full.remarks, ElementsAre(HasSubstr("leave none for the host")));
}

TEST(PlanOversubscribed, WorksOnAMachineOfOneUnit) {
  const Plan placed = plan(topology_from_synthetic("pu:1"), request_of({1, 2}));
  EXPECT_THAT(units_of(placed), ElementsAre("0", "0", "0"));
  EXPECT_EQ(placed.master.units.to_string(), "0");
  EXPECT_TRUE(placed.oversubscribed);
  EXPECT_THAT(placed.remarks, ElementsAre(HasSubstr("3 workers share 1 processing unit (0)")));
}

TEST(PlanOversubscribed, IsSaidUnderPolicyNoneToo) {
  const Plan placed = plan(topology_from_synthetic("core:2 pu:1"), request_of({3}, Policy::none));
  EXPECT_TRUE(placed.oversubscribed);
  EXPECT_THAT(workers_of(placed), Each(testing::Field(&Place::shared, true)));
  EXPECT_FALSE(placed.remarks.empty());
}

TEST(PlanQuota, KeepsOwnUnitsBelowAQuotaButNeverSpinsThereAndSaysSo) {
  Topology machine = topology_from_synthetic("package:1 l3:1 core:4 pu:1");
  machine.quota_cores = 1.5;
  const Plan placed = plan(machine, request_of({2}));
  EXPECT_THAT(units_of(placed), ElementsAre("0", "1"));
  EXPECT_TRUE(placed.oversubscribed);
  EXPECT_THAT(workers_of(placed), Each(testing::Field(&Place::shared, true)));
  EXPECT_THAT(placed.remarks, ElementsAre(HasSubstr("CPU quota of 1.5 cores is below the 3")));
}

TEST(PlanQuota, CountsTheHostAsOneThatWantsItsShare) {
  Topology machine = topology_from_synthetic("package:1 l3:1 core:4 pu:1");
  machine.quota_cores = 2.5;
  const Plan placed = plan(machine, request_of({2}));
  EXPECT_THAT(workers_of(placed), Each(testing::Field(&Place::shared, true)));
  EXPECT_THAT(placed.remarks, ElementsAre(HasSubstr("CPU quota of 2.5 cores is below the 3")));
}

TEST(PlanQuota, SaysNothingWhereTheQuotaSuffices) {
  Topology machine = topology_from_synthetic("package:1 l3:1 core:4 pu:1");
  machine.quota_cores = 3;
  const Plan placed = plan(machine, request_of({2}));
  EXPECT_FALSE(placed.oversubscribed);
  EXPECT_THAT(placed.remarks, IsEmpty());
}

TEST(Plan, RefusesAStageWithoutWorkersByItsName) {
  EXPECT_THAT(
      error_of([] { plan(topology_from_synthetic("pu:1"), {.stages = {{.name = "bars", .workers = 0}}}); }),
      HasSubstr("\"bars\" has no workers"));
}

TEST(Plan, RefusesAMachineWithNothingAllowed) {
  Topology machine = topology_from_synthetic("core:2 pu:1");
  for (ProcessingUnit& unit : machine.units)
    unit.allowed = false;
  EXPECT_THAT(error_of([&] { plan(machine, request_of({1})); }), HasSubstr("no processing unit is allowed"));
}

TEST(Plan, PlacesAHostWithoutStages) {
  EXPECT_EQ(plan(topology_from_synthetic("core:2 pu:1"), {}).host.units.to_string(), "0-1");
}

TEST(Plan, ReadsAsATable) {
  EXPECT_EQ(to_text(plan(topology_from_synthetic("package:1 l3:1 core:2 pu:1"),
                         {.stages = {{.name = "parse", .workers = 1}, {.name = "bars", .workers = 1}}})),
            "policy auto\n"
            "process  units  node  time\n"
            "parse/0  0-1    0     shared\n"
            "bars/0   0-1    0     shared\n"
            "host     0-1    0     shared\n"
            "master   0-1    0     shared\n"
            "! 2 workers on 2 processing units (0-1) leave none for the host and the master: all share them, "
            "so no process spins while it waits\n");
}

TEST(Policy, IsReadByItsNameAndRefusedWithTheNamesThereAre) {
  for (const Policy policy :
       {Policy::automatic, Policy::compact, Policy::spread, Policy::floating, Policy::none}) {
    EXPECT_EQ(parse_policy(to_string(policy)), policy);
  }
  EXPECT_THAT(error_of([] { parse_policy("compct"); }), HasSubstr("auto, compact, spread, float and none"));
}

// What must hold for every plan, whatever the machine and the pipeline.
void check_promises(const Topology& machine, const PlanRequest& request) {
  const Plan placed = plan(machine, request);
  const CpuSet allowed = machine.allowed();
  const std::vector<Place> workers = workers_of(placed);

  std::vector<Place> everyone = workers;
  everyone.push_back(placed.host);
  everyone.push_back(placed.master);
  for (const Place& place : everyone) {
    EXPECT_FALSE(place.units.empty());
    EXPECT_TRUE(allowed.includes(place.units));
    EXPECT_EQ(place.shared, placed.oversubscribed);
  }
  if (placed.oversubscribed) {
    EXPECT_FALSE(placed.remarks.empty());
  }
  EXPECT_EQ(to_text(plan(machine, request)), to_text(placed));
  if (placed.oversubscribed || request.policy == Policy::none || request.policy == Policy::floating) return;

  CpuSet taken;
  std::set<int> cores, all_cores;
  for (const Place& place : workers) {
    EXPECT_EQ(place.units.count(), 1U);
    EXPECT_FALSE(taken.intersects(place.units));
    EXPECT_FALSE(place.units.intersects(placed.host.units));
    taken |= place.units;
    cores.insert(unit_of(machine, place).core);
  }
  for (const ProcessingUnit& unit : machine.units) {
    if (unit.allowed && !unit.isolated) all_cores.insert(unit.core);
  }
  // No core carries two workers while another one that could be used carries none.
  if (!all_cores.empty()) {
    EXPECT_EQ(cores.size(), std::min(workers.size(), all_cores.size()));
  }
}

TEST(Plan, KeepsItsPromisesOnManyMachinesMasksAndPipelines) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random{seed};
  const auto below = [&random](std::size_t bound) { return random() % bound; };
  const std::vector<std::string> texts{"pu:1",
                                       "core:2 pu:1",
                                       "package:1 l3:1 core:8 pu:2",
                                       "package:2 [numa] l3:2 core:3 pu:2",
                                       "package:2 l3:8 core:8 pu:2",
                                       "package:1 [numa] [numa] l3:3 core:2 pu:1"};
  std::vector<Topology> machines;
  machines.reserve(texts.size() + 2);
  for (const std::string& text : texts)
    machines.push_back(topology_from_synthetic(text));
  machines.push_back(topology_from_xml(kMachines / "hybrid.xml"));
  machines.push_back(topology_from_xml(kMachines / "partial.xml"));
  for (int round = 0; round < rounds(400) && !testing::Test::HasFailure(); ++round) {
    Topology machine = machines[below(machines.size())];
    for (ProcessingUnit& unit : machine.units) {
      unit.allowed = unit.allowed && below(4) != 0;
      unit.isolated = below(8) == 0;
    }
    if (machine.allowed().empty()) machine.units.front().allowed = true;
    std::vector<unsigned> stages;
    for (std::size_t stage = 0; stage < 1 + below(5); ++stage)
      stages.push_back(static_cast<unsigned>(1 + below(below(8) == 0 ? 100 : 4)));
    for (const Policy policy :
         {Policy::automatic, Policy::compact, Policy::spread, Policy::floating, Policy::none}) {
      check_promises(machine, request_of(stages, policy));
    }
  }
}

}  // namespace
}  // namespace sluice::pinning
