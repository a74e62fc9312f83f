// SPDX-License-Identifier: Apache-2.0
// `sluice doctor`: what it makes of texts as machines have them.

#include <algorithm>
#include <sstream>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "doctor/findings.hpp"

namespace sluice::command {
namespace {

using pinning::CpuSet;
using testing::HasSubstr;

// A virtual machine with two units and a network card.
constexpr const char* kInterruptsBefore =
    "           CPU0       CPU1       \n"
    "  1:          0          9   IO-APIC   1-edge      i8042\n"
    " 24:          0       1200   PCI-MSI 65536-edge      virtio0-input.0\n"
    " 25:       5000          3   PCI-MSI 65537-edge      virtio0-output.0\n"
    "NMI:          0          0   Non-maskable interrupts\n"
    "LOC:     901011     812301   Local timer interrupts\n"
    "ERR:          0\n";
constexpr const char* kInterruptsAfter =
    "           CPU0       CPU1       \n"
    "  1:          0          9   IO-APIC   1-edge      i8042\n"
    " 24:          0       3200   PCI-MSI 65536-edge      virtio0-input.0\n"
    " 25:       5100          3   PCI-MSI 65537-edge      virtio0-output.0\n"
    "NMI:          0          0   Non-maskable interrupts\n"
    "LOC:     901211     812501   Local timer interrupts\n"
    "ERR:          0\n";
constexpr const char* kStatBefore =
    "cpu  100 0 100 800 0 0 0 0 0 0\n"
    "cpu0 50 0 50 400 0 0 0 0 0 0\n"
    "cpu1 50 0 50 400 0 0 0 0 0 0\n"
    "intr 123\n";
constexpr const char* kStatAfter =
    "cpu  150 0 150 880 0 0 0 20 0 0\n"
    "cpu0 75 0 75 450 0 0 0 0 0 0\n"
    "cpu1 75 0 75 430 0 0 0 20 0 0\n"
    "intr 456\n";
constexpr const char* kLimits =
    "Limit                     Soft Limit           Hard Limit           Units     \n"
    "Max processes             95236                95236                processes \n"
    "Max open files            256                  1048576              files     \n"
    "Max locked memory         unlimited            unlimited            bytes     \n";

Machine machine_with(CpuSet units) {
  Machine machine;
  machine.units = std::move(units);
  machine.before = {{"/proc/interrupts", kInterruptsBefore}, {"/proc/stat", kStatBefore}};
  machine.after = {
      {"/proc/interrupts", kInterruptsAfter},
      {"/proc/stat", kStatAfter},
      {"/proc/self/limits", kLimits},
      {"/proc/sys/kernel/osrelease", "5.10.0-28-amd64\n"},
      {"/sys/devices/system/cpu/online", "0-1\n"},
      {"/sys/devices/system/cpu/cpu1/cpufreq/scaling_governor", "powersave\n"},
      {"/sys/devices/system/cpu/cpu1/topology/thread_siblings_list", "0-1\n"},
      {"/sys/devices/system/clocksource/clocksource0/current_clocksource", "hpet\n"},
      {"/sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet acpi_pm\n"},
      {"/sys/class/net/eth0/queues/rx-0/rps_cpus", "00000000,00000002\n"},
      {"/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"},
      {"/sys/kernel/mm/transparent_hugepage/shmem_enabled",
       "always within_size advise [never] deny force\n"}};
  return machine;
}

Finding finding_of(const std::vector<Finding>& findings, const std::string& area) {
  const auto found =
      std::find_if(findings.begin(), findings.end(), [&](const Finding& each) { return each.area == area; });
  return found == findings.end() ? Finding{} : *found;
}

TEST(Doctor, CountsWhatDevicesSendToTheUnitsOfThePipeline) {
  const auto of_one = rates(kInterruptsBefore, kInterruptsAfter, {1}, 2.0);
  ASSERT_EQ(of_one.size(), 2U);
  EXPECT_EQ(of_one[0].name, "24");
  EXPECT_EQ(of_one[0].what, "PCI-MSI 65536-edge virtio0-input.0");
  EXPECT_DOUBLE_EQ(of_one[0].per_second, 1000);
  EXPECT_EQ(of_one[1].name, "LOC");
  EXPECT_EQ(rates("", kInterruptsAfter, {1}, 1.0).size(), 0U) << "nothing to compare with";
  EXPECT_EQ(rates("CPU0\n 1: x\nnonsense", "", {0}, 1.0).size(), 0U);
}

TEST(Doctor, TellsWhatTheHypervisorTook) {
  EXPECT_DOUBLE_EQ(steal(kStatBefore, kStatAfter, {1}).value_or(-1), 0.2);
  EXPECT_DOUBLE_EQ(steal(kStatBefore, kStatAfter, {0}).value_or(-1), 0.0);
  EXPECT_FALSE(steal(kStatAfter, kStatBefore, {1}));
  EXPECT_FALSE(steal("", "", {0}));
}

TEST(Doctor, ReadsMasksChoicesLimitsAndVersions) {
  EXPECT_EQ(parse_hex_mask("00000001,0000000f\n"), (CpuSet{0, 1, 2, 3, 32}));
  EXPECT_EQ(parse_hex_mask("0"), CpuSet{});
  EXPECT_EQ(parse_hex_mask("0x3"), std::nullopt);
  EXPECT_EQ(parse_hex_mask(""), std::nullopt);
  EXPECT_EQ(chosen("always [madvise] never"), "madvise");
  EXPECT_EQ(chosen("never"), "");
  EXPECT_EQ(soft_limit(kLimits, "Max open files"), 256U);
  EXPECT_EQ(soft_limit(kLimits, "Max locked memory"), ~0ULL);
  EXPECT_EQ(soft_limit(kLimits, "Max nonsense"), std::nullopt);
  EXPECT_EQ(kernel_version("6.1.0-18-amd64"), 601);
  EXPECT_EQ(kernel_version("5.15"), 515);
  EXPECT_EQ(kernel_version("later"), std::nullopt);
}

TEST(Doctor, WarnsOfWhatDisturbsAndSaysWhatWouldHelp) {
  const std::vector<Finding> findings = audit(machine_with({1}));
  const Finding interrupts = finding_of(findings, "interrupts");
  EXPECT_EQ(interrupts.level, Level::warning);
  EXPECT_THAT(interrupts.commands, testing::ElementsAre("echo 0 > /proc/irq/24/smp_affinity_list"));
  EXPECT_THAT(finding_of(findings, "rps").commands,
              testing::ElementsAre("echo 0 > /sys/class/net/eth0/queues/rx-0/rps_cpus"));
  EXPECT_EQ(finding_of(findings, "governor").level, Level::warning);
  EXPECT_THAT(finding_of(findings, "clock").commands, testing::ElementsAre(HasSubstr("echo tsc >")));
  EXPECT_EQ(finding_of(findings, "steal").level, Level::warning);
  EXPECT_THAT(finding_of(findings, "smt").found, HasSubstr("units 0 are siblings"));
  EXPECT_EQ(finding_of(findings, "thp").level, Level::note);
  EXPECT_EQ(finding_of(findings, "nofile").level, Level::note);
  EXPECT_EQ(finding_of(findings, "memlock").found, "unlimited");
  EXPECT_EQ(finding_of(findings, "kernel").level, Level::note);
}

TEST(Doctor, SendsNoInterruptAwayWhereThereIsNoOtherUnit) {
  const Finding interrupts = finding_of(audit(machine_with({0, 1})), "interrupts");
  EXPECT_EQ(interrupts.level, Level::note);
  EXPECT_TRUE(interrupts.commands.empty());
}

TEST(Doctor, SaysWhatAMachineDoesNotTell) {
  Machine nothing;
  nothing.units = {0};
  for (const Finding& finding : audit(nothing))
    EXPECT_NE(finding.level, Level::warning) << finding.area;
  EXPECT_EQ(finding_of(audit(nothing), "kernel").level, Level::unknown);
}

TEST(Doctor, FitsIntoEightyColumns) {
  std::istringstream text{to_text(audit(machine_with({1})))};
  std::size_t lines = 0;
  for (std::string line; std::getline(text, line); ++lines)
    EXPECT_LE(line.size(), 80U) << line;
  EXPECT_GT(lines, 15U);
}

TEST(Doctor, SpeaksJson) {
  const std::string json = to_json({{"clock", Level::warning, "a \"slow\" one", "why", {"echo 1 > x", "b"}}});
  EXPECT_EQ(json,
            "[\n  {\"area\":\"clock\",\"level\":\"warning\",\"found\":\"a \\\"slow\\\" one\",\"why\":\"why\","
            "\"commands\":[\"echo 1 > x\",\"b\"]}\n]\n");
}

TEST(Doctor, ReadsTheFilesOfItsUnitsOnly) {
  const auto paths = paths_for({3}, [](const std::string& directory) -> std::vector<std::string> {
    if (directory == "/sys/class/net/") return {"eth0"};
    if (directory == "/sys/class/net/eth0/queues/") return {"rx-0", "tx-0"};
    if (directory == "/sys/devices/system/cpu/cpu3/cpuidle/") return {"state0"};
    return {};
  });
  EXPECT_THAT(paths, testing::Contains("/sys/class/net/eth0/queues/rx-0/rps_cpus"));
  EXPECT_THAT(paths, testing::Contains("/sys/devices/system/cpu/cpu3/cpuidle/state0/latency"));
  EXPECT_THAT(paths, testing::Not(testing::Contains(HasSubstr("tx-0"))));
}

}  // namespace
}  // namespace sluice::command
