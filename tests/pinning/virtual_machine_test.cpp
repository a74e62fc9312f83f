// SPDX-License-Identifier: Apache-2.0
// The machine that label numa boots, as hwloc saw it: two packages of two nodes, SMT, CPU 5 offline, node 2
// without memory.
#include <filesystem>
#include <string>

#include <sluice/pinning/plan.hpp>
#include <sluice/pinning/topology.hpp>

#include "expect_error.hpp"

namespace sluice::pinning {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Topology virtual_machine() {
  return topology_from_xml(std::filesystem::path{NUMA_DATA} / "vm-2p4n8c16t.xml");
}

PlanRequest workers(unsigned count, Policy policy = Policy::compact) {
  PlanRequest request;
  request.policy = policy;
  request.stages.push_back({.name = "work", .workers = count});
  return request;
}

TEST(VirtualMachine, HasACoreOfItsOwnForTheUnitWhoseSiblingIsOffline) {
  const Topology machine = virtual_machine();
  std::vector<int> cores;
  for (const ProcessingUnit& unit : machine.units)
    cores.push_back(unit.core);
  EXPECT_THAT(cores, ElementsAre(0, 0, 1, 1, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7));
  EXPECT_EQ(machine.allowed(), CpuSet::parse("0-4,6-15"));
}

TEST(VirtualMachine, GivesSevenWorkersACoreEach) {
  const Plan placed = plan(virtual_machine(), workers(7));
  EXPECT_THAT(placed.remarks, Not(Contains(HasSubstr("SMT siblings"))));
}

TEST(VirtualMachine, TakesMemoryForTheNodeWithoutAnyFromTheNodeNextToIt) {
  Topology machine = restricted(virtual_machine(), CpuSet::parse("8-11"));
  Plan placed = plan(machine, workers(2));
  for (const Place& place : placed.stages[0].workers)
    EXPECT_EQ(place.numa_node, 3);
  EXPECT_EQ(placed.host.numa_node, 3);
  EXPECT_THAT(placed.remarks, Contains("NUMA node 2 has no memory: workers there use that of node 3"));
  machine.nodes[3].allowed = false;
  placed = plan(machine, workers(2));
  EXPECT_EQ(placed.stages[0].workers[0].numa_node, 0) << "of equals the first";
  machine.node_distances.clear();
  EXPECT_EQ(plan(machine, workers(2)).stages[0].workers[0].numa_node, -1)
      << "nothing says which of the other package's nodes is nearer";
}

TEST(VirtualMachine, TakesMemoryFromThePackageWhereFirmwareTellsNoDistances) {
  Topology machine = restricted(virtual_machine(), CpuSet::parse("8-11"));
  machine.node_distances.clear();
  EXPECT_EQ(plan(machine, workers(2)).stages[0].workers[0].numa_node, 3);
}

TEST(VirtualMachine, TakesNoMemoryThatIsNotAllowed) {
  Topology machine = virtual_machine();
  machine.nodes[0].allowed = false;
  const Plan placed = plan(restricted(machine, CpuSet::parse("0-3")), workers(2));
  EXPECT_EQ(placed.stages[0].workers[0].numa_node, 1);
  EXPECT_THAT(placed.remarks,
              Contains("memory of NUMA node 0 is not allowed to this process: workers there use that "
                       "of node 1"));
}

}  // namespace
}  // namespace sluice::pinning
