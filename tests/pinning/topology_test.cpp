// SPDX-License-Identifier: Apache-2.0
// Machines as plain values: made up, read from a file, and this one.
#include <filesystem>
#include <fstream>
#include <string>

#include <sluice/pinning/topology.hpp>

#include "expect_error.hpp"

namespace sluice::pinning {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const std::filesystem::path kMachineFiles = MACHINES_DIR;

// One column of the table of units.
template <typename Field>
std::vector<Field> column(const Topology& topology, Field ProcessingUnit::*field) {
  std::vector<Field> values;
  for (const ProcessingUnit& unit : topology.units)
    values.push_back(unit.*field);
  return values;
}

TEST(Topology, OfOneUnitHasOneCoreAndOneNode) {
  const Topology topology = topology_from_synthetic("pu:1");
  ASSERT_EQ(topology.units.size(), 1U);
  EXPECT_EQ(topology.units[0].os_index, 0U);
  EXPECT_EQ(topology.units[0].rank_in_core, 0);
  EXPECT_EQ(topology.nodes.size(), 1U);
  EXPECT_EQ(topology.allowed(), CpuSet{0});
}

TEST(Topology, TellsPackagesNodesCachesCoresAndSiblingsApart) {
  const Topology topology = topology_from_synthetic("package:2 [numa] l3:2 core:1 pu:2");
  EXPECT_THAT(column(topology, &ProcessingUnit::package), ElementsAre(0, 0, 0, 0, 1, 1, 1, 1));
  EXPECT_THAT(column(topology, &ProcessingUnit::numa_node), ElementsAre(0, 0, 0, 0, 1, 1, 1, 1));
  EXPECT_THAT(column(topology, &ProcessingUnit::l3), ElementsAre(0, 0, 1, 1, 2, 2, 3, 3));
  EXPECT_THAT(column(topology, &ProcessingUnit::core), ElementsAre(0, 0, 1, 1, 2, 2, 3, 3));
  EXPECT_THAT(column(topology, &ProcessingUnit::rank_in_core), ElementsAre(0, 1, 0, 1, 0, 1, 0, 1));
}

TEST(Topology, KeepsTheKernelsNumbersWhereSiblingsAreNumberedLast) {
  const Topology topology = topology_from_synthetic("core:2 pu:2(indexes=core)");
  EXPECT_THAT(column(topology, &ProcessingUnit::os_index), ElementsAre(0U, 2U, 1U, 3U));
  EXPECT_THAT(column(topology, &ProcessingUnit::rank_in_core), ElementsAre(0, 1, 0, 1));
}

TEST(Topology, ListsTheMemoryOfEachNode) {
  const Topology topology = topology_from_synthetic("package:2 [numa(memory=8GiB)] core:1 pu:1");
  ASSERT_EQ(topology.nodes.size(), 2U);
  EXPECT_EQ(topology.nodes[1].os_index, 1);
  EXPECT_EQ(topology.nodes[1].memory_bytes, std::uint64_t{8} << 30);
  EXPECT_TRUE(topology.nodes[1].allowed);
}

TEST(Topology, SaysUnknownWhereAMachineHasNoL3) {
  const Topology topology = topology_from_synthetic("package:1 core:2 pu:1");
  EXPECT_THAT(column(topology, &ProcessingUnit::l3), ElementsAre(kUnknown, kUnknown));
}

TEST(Topology, HoldsALargeMachine) {
  const Topology topology = topology_from_synthetic("package:2 l3:8 core:8 pu:2");
  EXPECT_EQ(topology.units.size(), 256U);
  EXPECT_EQ(topology.allowed().to_string(), "0-255");
  EXPECT_EQ(topology.units.back().core, 127);
}

TEST(Topology, DescribesItselfInOneLine) {
  EXPECT_EQ(topology_from_synthetic("package:1 l3:1 core:2 pu:2").description,
            "synthetic \"package:1 l3:1 core:2 pu:2\": 1 package, 1 NUMA node, 1 L3 cache, 2 cores, "
            "4 processing units, allowed 0-3");
}

TEST(Topology, RefusesASyntheticTextThatMeansNothingByNamingIt) {
  for (const char* text : {"", "a big one", "core:0", "core:-3", "pu:2 core:2"}) {
    EXPECT_THAT(error_of([text] { topology_from_synthetic(text); }),
                HasSubstr('"' + std::string{text} + '"'));
  }
}

TEST(Topology, KnowsTheFasterKindOfCoreOfAHybridMachine) {
  const Topology topology = topology_from_xml(kMachineFiles / "hybrid.xml");
  EXPECT_THAT(column(topology, &ProcessingUnit::efficiency), ElementsAre(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0));
  EXPECT_THAT(column(topology, &ProcessingUnit::rank_in_core),
              ElementsAre(0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 0, 0));
}

TEST(Topology, LeavesOutOfflineUnitsAndMarksThoseThatAreNotAllowed) {
  const Topology topology = topology_from_xml(kMachineFiles / "partial.xml");
  EXPECT_THAT(column(topology, &ProcessingUnit::os_index), ElementsAre(0U, 1U, 2U, 3U, 4U));
  EXPECT_THAT(column(topology, &ProcessingUnit::allowed), ElementsAre(true, true, false, true, true));
  EXPECT_EQ(topology.allowed().to_string(), "0-1,3-4");
}

TEST(Topology, RefusesAFileThatIsNotThereByItsPathAndReason) {
  const std::string said = error_of([] { topology_from_xml("/no/such/machine.xml"); });
  EXPECT_THAT(said, HasSubstr("/no/such/machine.xml"));
  EXPECT_THAT(said, HasSubstr("No such file"));
}

TEST(Topology, RefusesAFileThatIsNoTopologyByItsPath) {
  const auto path = std::filesystem::temp_directory_path() / "sluice-no-topology.xml";
  for (const char* text :
       {"", "not xml", "<?xml version=\"1.0\"?><topology version=\"2.0\">", "<html></html>"}) {
    std::ofstream{path} << text;
    EXPECT_THAT(error_of([&] { topology_from_xml(path); }), HasSubstr(path.string()));
  }
  std::filesystem::remove(path);
  EXPECT_THAT(error_of([] { topology_from_xml("/proc"); }), HasSubstr("/proc: Is a directory"));
}

TEST(Topology, SaysWhatIsWrongWithAFile) {
  const auto path = std::filesystem::temp_directory_path() / "sluice-wrong-topology.xml";
  const auto fault = [&path](const std::string& text) {
    std::ofstream{path} << text;
    return error_of([&path] { topology_from_xml(path); });
  };
  EXPECT_THAT(fault("Machine (16GB)\x1b[2J\nPackage"),
              HasSubstr("it is no XML: it begins with \"Machine (16GB)\\x1b[2J\""));
  EXPECT_THAT(fault("<html></html>"), HasSubstr("it has no element <topology>"));
  std::ifstream whole{kMachineFiles / "partial.xml"};
  const std::string text{std::istreambuf_iterator<char>{whole}, {}};
  EXPECT_THAT(fault(text.substr(0, text.find('\n', text.size() / 2))), HasSubstr("it ends early, in line "));
  EXPECT_THAT(fault("<topology version=\"9.9\"><cat/></topology>"),
              HasSubstr("hwloc refuses what is in <topology>"));
  std::filesystem::remove(path);
}

TEST(Topology, SaysWhichPartOfASyntheticOneIsNotUnderstood) {
  const auto fault = [](const char* text) { return error_of([text] { topology_from_synthetic(text); }); };
  EXPECT_THAT(fault("package:2 kore:4 pu:1"),
              HasSubstr("hwloc does not understand \"kore:4\", at character 11"));
  EXPECT_THAT(fault("package:2 [numa(memory=1GB indexes=0,1)] core:x pu:1"),
              HasSubstr("hwloc does not understand \"core:x\", at character 42"));
  EXPECT_THAT(fault("core:8"), HasSubstr("its last level is not pu:NUMBER"));
  EXPECT_THAT(fault(""), HasSubstr("it is empty"));
}

TEST(Topology, RefusesASyntheticMachineThatIsLargerThanAnyOfLinux) {
  const auto fault = [](const char* text) { return error_of([text] { topology_from_synthetic(text); }); };
  for (const char* text : {"pack:64 core:1024 pu:2", "pu:4294967295", "core:8193 pu:1", "64 64 64"})
    EXPECT_THAT(fault(text), HasSubstr("it has more than 8192 processing units")) << text;
  EXPECT_EQ(topology_from_synthetic("package:2 [numa(memory=9000000)] core:4 pu:2").units.size(), 16U);
}

TEST(Topology, CanBeRestrictedToFewerUnits) {
  const Topology topology = restricted(topology_from_synthetic("core:4 pu:1"), CpuSet::parse("1,3,9"));
  EXPECT_EQ(topology.allowed().to_string(), "1,3");
  EXPECT_EQ(topology.units.size(), 4U);
  EXPECT_THAT(topology.description, HasSubstr("restricted to 1,3"));
}

TEST(Topology, RefusesARestrictionThatLeavesNothing) {
  EXPECT_THAT(error_of([] { restricted(topology_from_synthetic("core:4 pu:1"), CpuSet{9}); }),
              HasSubstr("\"9\""));
}

TEST(Topology, OfThisMachineAllowsWhatTheKernelGrantsThisProcess) {
  const Topology topology = read_topology();
  std::ifstream status{"/proc/self/status"};
  std::string granted;
  for (std::string line; std::getline(status, line);) {
    const std::string key = "Cpus_allowed_list:";
    if (line.starts_with(key)) granted = line.substr(key.size());
  }
  EXPECT_EQ(topology.allowed(), CpuSet::parse(granted));
  EXPECT_FALSE(topology.nodes.empty());
  EXPECT_THAT(topology.description, HasSubstr("processing unit"));
}

}  // namespace
}  // namespace sluice::pinning
