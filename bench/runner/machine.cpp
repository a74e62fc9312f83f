// SPDX-License-Identifier: Apache-2.0
// Facts out of the kernel's files, the processor and hwloc.

#include "machine.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <sys/utsname.h>

#include <fmt/format.h>
#include <hwloc.h>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <sluice/pinning/bind.hpp>
#include <sluice/pinning/plan.hpp>
#include <sluice/pinning/topology.hpp>
#include <sluice/settings.hpp>

#include "sluice_commit.hpp"

namespace sluice::bench {
namespace {

namespace fs = std::filesystem;

const std::string kUnknownFact = "unknown";

std::string first_line(const fs::path& path) {
  std::ifstream file{path};
  std::string line;
  std::getline(file, line);
  return line.empty() ? kUnknownFact : line;
}

// The value of "name : value" in a file of such lines.
std::string field(const char* path, std::string_view name) {
  std::ifstream file{path};
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (!line.starts_with(name) || colon == std::string::npos) continue;
    const std::size_t start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? kUnknownFact : line.substr(start);
  }
  return kUnknownFact;
}

// A hypervisor may give every processor one name; these tell which it is.
std::string processor_family() {
  const char* file = "/proc/cpuinfo";
  return fmt::format("{}, family {}, model {}", field(file, "vendor_id"), field(file, "cpu family"),
                     field(file, "model"));
}

std::string kernel() {
  utsname name{};
  if (::uname(&name) != 0) return kUnknownFact;
  return fmt::format("{} {} {}, {}", name.sysname, name.release, name.machine, name.version);
}

// One governor, or all of them if the units differ.
std::string governor() {
  std::set<std::string> governors;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator{"/sys/devices/system/cpu", ignored}) {
    const fs::path file = entry.path() / "cpufreq/scaling_governor";
    if (fs::exists(file, ignored)) governors.insert(first_line(file));
  }
  if (governors.empty()) return "none is shown (usual in a virtual machine)";
  return fmt::format("{}", fmt::join(governors, ", "));
}

std::string virtualisation() {
#if defined(__x86_64__)
  constexpr unsigned kHypervisorPresent = 1U << 31U;  // Of leaf 1, ecx.
  constexpr unsigned kHypervisorLeaf = 0x40000000;
  std::array<unsigned, 4> words{};  // eax ebx ecx edx
  if (__get_cpuid(1, &words[0], &words[1], &words[2], &words[3]) == 0) return kUnknownFact;
  if ((words[2] & kHypervisorPresent) == 0) return "none: the processor shows no hypervisor";
  __cpuid(kHypervisorLeaf, words[0], words[1], words[2], words[3]);
  std::array<char, 13> vendor{};
  std::memcpy(vendor.data(), &words[1], 12);
  std::string name{vendor.data()};
  std::erase_if(name, [](char character) { return character <= ' ' || character > '~'; });
  const std::string product = first_line("/sys/class/dmi/id/product_name");
  return fmt::format("a guest of {}{}", name.empty() ? "a hypervisor without a name" : name,
                     product == kUnknownFact ? "" : ", " + product);
#else
  return kUnknownFact;
#endif
}

Facts mitigations() {
  Facts facts;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator{"/sys/devices/system/cpu/vulnerabilities", ignored})
    facts.emplace_back(entry.path().filename().string(), first_line(entry.path()));
  std::sort(facts.begin(), facts.end());
  return facts;
}

std::string hwloc_xml() {
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0) return {};
  std::string text;
  char* xml = nullptr;
  int size = 0;
  if (hwloc_topology_load(topology) == 0 && hwloc_topology_export_xmlbuffer(topology, &xml, &size, 0) == 0) {
    text = xml;
    hwloc_free_xmlbuffer(topology, xml);
  }
  hwloc_topology_destroy(topology);
  return text;
}

}  // namespace

Machine describe_machine() {
  Machine machine;
  machine.facts = {
      {"cpu", field("/proc/cpuinfo", "model name")},
      {"processor family", processor_family()},
      {"microcode", field("/proc/cpuinfo", "microcode")},
      {"topology", pinning::read_topology().description},
      {"usable units", pinning::current_units().to_string()},
      {"memory", field("/proc/meminfo", "MemTotal")},
      {"transparent huge pages", first_line("/sys/kernel/mm/transparent_hugepage/enabled")},
      {"huge pages", field("/proc/meminfo", "HugePages_Total")},
      {"kernel", kernel()},
      {"kernel command line", first_line("/proc/cmdline")},
      {"clock", first_line("/sys/devices/system/clocksource/clocksource0/current_clocksource")},
      {"governor", governor()},
      {"virtualisation", virtualisation()},
      {"load at the start", first_line("/proc/loadavg")},
      {"compiler", SLUICE_COMPILER},
      {"build", SLUICE_BUILD},
  };
  machine.mitigations = mitigations();
  machine.hwloc_xml = hwloc_xml();
  return machine;
}

std::string describe_placement() {
  const pinning::Topology topology = pinning::read_topology();
  // A worker on a unit of its own is what most suites have; what has more workers is planned when it starts.
  const pinning::Plan plan = pinning::plan(topology, {.stages = {{.name = "worker", .workers = 1}}});
  return fmt::format(
      "{}\n\nWhere the two sides of a ring are measured alone, they are bound to the units 0 and 1.\n"
      "A pipeline is placed by the plan; this is the one for a single worker:\n\n{}",
      topology.description, pinning::to_text(plan));
}

std::vector<SettingValue> describe_settings() {
  // The table for people has the stages' own settings too: three columns, at least two blanks apart.
  std::istringstream table{Settings::from_environment().show()};
  std::vector<SettingValue> values;
  std::string line;
  std::getline(table, line);  // The heading.
  while (std::getline(table, line)) {
    const std::size_t key_end = line.find("  ");
    const std::size_t origin = line.rfind("  ");
    if (key_end == std::string::npos || origin <= key_end) continue;
    const std::size_t value = line.find_first_not_of(' ', key_end);
    std::string text = line.substr(value, origin - std::min(value, origin));
    text.resize(text.find_last_not_of(' ') + 1);
    values.push_back({line.substr(0, key_end), std::move(text), line.substr(origin + 2)});
  }
  return values;
}

std::string built_version() {
  return SLUICE_VERSION;
}

std::string built_commit() {
  return SLUICE_COMMIT;
}

std::size_t usable_units() {
  return pinning::current_units().count();
}

}  // namespace sluice::bench
