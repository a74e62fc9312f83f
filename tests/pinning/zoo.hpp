// SPDX-License-Identifier: Apache-2.0
// The machines that plans are tried on, and the dice that make pipelines for them. The machines that others saved are in
// the folder topologies of SLUICE_TEST_DATA; those that they lack are written here.
#pragma once

#include <filesystem>
#include <random>
#include <set>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include <sluice/pinning/topology.hpp>

#include "support/recorded_data.hpp"

namespace sluice::pinning {

inline Topology with_units(Topology machine, const CpuSet& allowed) {
  for (ProcessingUnit& unit : machine.units)
    unit.allowed = allowed.contains(unit.os_index);
  return machine;
}

// Before what stands behind the colon: how it differs from the text or file that it was made of.
inline Topology named(Topology machine, const std::string& what) {
  machine.description.insert(machine.description.find(": "), ", " + what);
  return machine;
}

// Performance cores with two threads, then efficient ones with one.
inline Topology hybrid_with_smt() {
  Topology machine = topology_from_synthetic("package:1 l3:1 core:12 pu:2");
  std::erase_if(machine.units,
                [](const ProcessingUnit& unit) { return unit.core >= 6 && unit.rank_in_core > 0; });
  for (ProcessingUnit& unit : machine.units)
    unit.efficiency = unit.core < 6 ? 1 : 0;
  return named(std::move(machine), "half of them efficient cores of one thread");
}

inline std::vector<Topology> written_machines() {
  std::vector<Topology> machines;
  for (const char* text :
       {"package:2 numa:4 l3:1 core:24 pu:2", "package:8 [numa] l3:1 core:16 pu:1",
        "package:1 l3:1 core:1 pu:1", "package:1 l3:1 core:1 pu:2", "package:1 l3:1 core:48 pu:2",
        "package:2 [numa] l3:8 core:8 pu:1", "package:1 numa:4 l3:2 core:4 pu:2",
        "package:4 [numa] l2:3 core:2 pu:1", "numa:2 core:4 pu:1"})
    machines.push_back(topology_from_synthetic(text));
  machines.push_back(hybrid_with_smt());
  const Topology server = topology_from_synthetic("package:2 [numa] l3:2 core:6 pu:2");
  machines.push_back(named(with_units(server, CpuSet::parse("1-47")), "without CPU 0"));
  machines.push_back(named(with_units(server, CpuSet::parse("2-9,30-33")), "a cpuset across both"));
  Topology offline = named(server, "a fifth of them offline");
  std::erase_if(offline.units, [](const ProcessingUnit& unit) { return unit.os_index % 5 == 3; });
  machines.push_back(offline);
  Topology nested = named(with_units(server, CpuSet::parse("0-15")), "nested groups");
  nested.quota_cores = 3;  // The tightest of its ancestors.
  machines.push_back(nested);
  return machines;
}

// None where there is no such folder. It is an error if SLUICE_TEST_DATA promises it.
inline std::vector<Topology> saved_machines() {
  const char* promised = sluice::test::recorded_data();
  const std::filesystem::path folder =
      std::filesystem::path{promised != nullptr ? promised : RECORDED_DATA_DEFAULT} / "topologies";
  std::set<std::filesystem::path> files;
  std::error_code none;
  for (const auto& entry : std::filesystem::directory_iterator{folder, none}) {
    if (entry.path().extension() == ".xml") files.insert(entry.path());
  }
  EXPECT_TRUE(promised == nullptr || files.size() > 30) << folder << " has " << files.size() << " machines";
  std::vector<Topology> machines;
  machines.reserve(files.size());
  for (const std::filesystem::path& file : files)
    machines.push_back(topology_from_xml(file));
  return machines;
}

inline std::vector<Topology> all_machines() {
  std::vector<Topology> machines = written_machines();
  for (Topology& machine : saved_machines())
    machines.push_back(std::move(machine));
  return machines;
}

class Dice {
 public:
  explicit Dice(unsigned seed) : random_{seed} {}
  std::size_t below(std::size_t bound) { return random_() % bound; }

 private:
  std::mt19937 random_;
};

}  // namespace sluice::pinning
