// SPDX-License-Identifier: Apache-2.0
// Judges what was read: the rules of `sluice doctor`.
#include "findings.hpp"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace sluice::command {
namespace {

using pinning::CpuSet;

constexpr const char* kCpus = "/sys/devices/system/cpu/";
constexpr const char* kNet = "/sys/class/net/";
constexpr double kManyInterrupts = 100;  // A second on all units: each takes some microseconds.
constexpr std::size_t kMostShown = 5;

std::string trimmed(std::string_view text) {
  const std::size_t end = text.find_last_not_of(" \t\n");
  return end == std::string_view::npos ? std::string{} : std::string{text.substr(0, end + 1)};
}

// What stands in a file; empty if there is none.
std::string text_at(const Texts& texts, const std::string& path) {
  const auto found = texts.find(path);
  return found == texts.end() ? std::string{} : trimmed(found->second);
}

std::string of_unit(unsigned unit, const char* name) {
  return fmt::format("{}cpu{}/{}", kCpus, unit, name);
}

CpuSet units_at(const Texts& texts, const std::string& path) {
  try {
    return CpuSet::parse(text_at(texts, path));
  } catch (const Error&) {
    return {};
  }
}

Finding unknown(const char* area, const char* file) {
  return {area, Level::unknown, fmt::format("{} tells nothing here", file), "", {}};
}

CpuSet others_than(const Machine& machine) {
  return units_at(machine.after, fmt::format("{}online", kCpus)) - machine.units;
}

std::string rates_text(const std::vector<Rate>& all) {
  std::string text;
  for (std::size_t i = 0; i < std::min(all.size(), kMostShown); ++i) {
    text += fmt::format("{}{}{} {:.0f}/s", i == 0 ? "" : ", ", all[i].name,
                        all[i].what.empty() ? "" : " (" + all[i].what + ")", all[i].per_second);
  }
  return text;
}

Finding interrupts(const Machine& machine) {
  constexpr const char* kFile = "/proc/interrupts";
  if (text_at(machine.after, kFile).empty()) return unknown("interrupts", kFile);
  std::vector<Rate> of_devices = rates(text_at(machine.before, kFile), text_at(machine.after, kFile),
                                       machine.units, machine.between.count());
  // Those with letters are the processors' own: timers, calls between them.
  std::erase_if(of_devices, [](const Rate& rate) {
    return rate.name.find_first_not_of("0123456789") != std::string::npos;
  });
  double sum = 0;
  for (const Rate& rate : of_devices)
    sum += rate.per_second;
  if (sum < kManyInterrupts) {
    return {"interrupts",
            Level::fine,
            fmt::format("devices send {:.0f}/s to units {}", sum, machine.units.to_string()),
            "",
            {}};
  }
  Finding finding{"interrupts",
                  Level::warning,
                  fmt::format("devices send {:.0f}/s: {}", sum, rates_text(of_devices)),
                  "each stops a worker for microseconds and takes lines out of its cache",
                  {}};
  const CpuSet others = others_than(machine);
  if (others.empty()) {
    finding.why += "; there is no other unit to send them to";
    finding.level = Level::note;
  }
  for (std::size_t i = 0; !others.empty() && i < std::min(of_devices.size(), kMostShown); ++i)
    finding.commands.push_back(
        fmt::format("echo {} > /proc/irq/{}/smp_affinity_list", others.to_string(), of_devices[i].name));
  return finding;
}

Finding softirqs(const Machine& machine) {
  constexpr const char* kFile = "/proc/softirqs";
  if (text_at(machine.after, kFile).empty()) return unknown("softirqs", kFile);
  std::vector<Rate> work = rates(text_at(machine.before, kFile), text_at(machine.after, kFile), machine.units,
                                 machine.between.count());
  // What a processor does for itself is not sent to it.
  std::erase_if(work, [](const Rate& rate) {
    return rate.name == "SCHED" || rate.name == "RCU" || rate.name == "TIMER" || rate.name == "HRTIMER";
  });
  double sum = 0;
  for (const Rate& rate : work)
    sum += rate.per_second;
  if (sum < kManyInterrupts)
    return {
        "softirqs", Level::fine, fmt::format("{:.0f}/s on units {}", sum, machine.units.to_string()), "", {}};
  return {"softirqs",
          Level::note,
          rates_text(work),
          "they follow the interrupts of network and disk: move those, and RPS, to other units",
          {}};
}

Finding rps(const Machine& machine) {
  Finding finding{"rps", Level::fine, "no receive queue is steered to these units", "", {}};
  std::string queues;
  for (const auto& [path, text] : machine.after) {
    if (!path.starts_with(kNet) || !path.ends_with("/rps_cpus")) continue;
    const auto steered = parse_hex_mask(text);
    if (!steered || !steered->intersects(machine.units)) continue;
    queues.append(queues.empty() ? "" : ", ").append(path, std::string_view{kNet}.size());
    finding.commands.push_back(fmt::format("echo 0 > {}", path));
  }
  if (queues.empty()) return finding;
  finding.level = Level::warning;
  finding.found = "receive queues are steered here: " + queues;
  finding.why = "packets of the whole machine are worked on between the events of a worker";
  return finding;
}

Finding governor(const Machine& machine) {
  std::set<std::string> governors;
  CpuSet slow;
  for (const unsigned unit : machine.units.to_vector()) {
    const std::string name = text_at(machine.after, of_unit(unit, "cpufreq/scaling_governor"));
    if (name.empty()) continue;
    governors.insert(name);
    if (name != "performance") slow.insert(unit);
  }
  if (governors.empty())
    return {"governor", Level::fine, "the frequency is not for this system to choose", "", {}};
  if (slow.empty()) return {"governor", Level::fine, "performance", "", {}};
  std::string names;
  for (const std::string& name : governors)
    names.append(names.empty() ? "" : ", ").append(name);
  return {"governor",
          Level::warning,
          fmt::format("{} on units {}", names, slow.to_string()),
          "a worker that sleeps between events runs at a low frequency when they come",
          {fmt::format("cpupower -c {} frequency-set -g performance", slow.to_string())}};
}

Finding idle_states(const Machine& machine) {
  constexpr int kStates = 10;
  constexpr int kDeep_us = 20;
  int deepest = -1;
  std::string name;
  for (const unsigned unit : machine.units.to_vector()) {
    for (int state = 0; state < kStates; ++state) {
      const std::string directory = of_unit(unit, fmt::format("cpuidle/state{}/", state).c_str());
      const std::string latency = text_at(machine.after, directory + "latency");
      if (latency.empty() || text_at(machine.after, directory + "disable") == "1") continue;
      const int us = std::atoi(latency.c_str());
      if (us > deepest) {
        deepest = us;
        name = text_at(machine.after, directory + "name");
      }
    }
  }
  if (deepest < 0) return {"idle states", Level::fine, "none that this system chooses", "", {}};
  std::string found = fmt::format("the deepest is {}, left in {} us", name, deepest);
  if (deepest < kDeep_us) return {"idle states", Level::fine, std::move(found), "", {}};
  return {"idle states",
          Level::note,
          std::move(found),
          "that long a sleeping worker takes to wake up",
          {"sluice config explain power.latency"}};
}

Finding siblings(const Machine& machine) {
  CpuSet neighbours;
  CpuSet both;
  for (const unsigned unit : machine.units.to_vector()) {
    const CpuSet core = units_at(machine.after, of_unit(unit, "topology/thread_siblings_list"));
    if (core.count() < 2) continue;
    neighbours |= core - machine.units;
    if ((core & machine.units).count() > 1) both |= core & machine.units;
  }
  if (neighbours.empty() && both.empty())
    return {"smt", Level::fine, "each unit is a core of its own", "", {}};
  if (neighbours.empty()) {
    return {"smt",
            Level::note,
            fmt::format("units {} are siblings on shared cores", both.to_string()),
            "a plan uses siblings last; two busy ones are each about half as fast",
            {}};
  }
  return {"smt",
          Level::note,
          fmt::format("units {} are siblings of these and not among them", neighbours.to_string()),
          "whatever else runs there takes half of the core",
          {}};
}

Finding isolation(const Machine& machine) {
  const std::string isolated = text_at(machine.after, fmt::format("{}isolated", kCpus));
  const std::string nohz = text_at(machine.after, fmt::format("{}nohz_full", kCpus));
  std::string found = fmt::format("isolated: {}; without ticks: {}", isolated.empty() ? "none" : isolated,
                                  nohz.empty() || nohz == "(null)" ? "none" : nohz);
  return {"isolation", Level::fine, std::move(found), "", {}};
}

Finding huge_pages(const Machine& machine) {
  constexpr const char* kDirectory = "/sys/kernel/mm/transparent_hugepage/";
  const std::string enabled = text_at(machine.after, fmt::format("{}enabled", kDirectory));
  const std::string shared = text_at(machine.after, fmt::format("{}shmem_enabled", kDirectory));
  if (enabled.empty())
    return {"thp",
            Level::note,
            "this kernel has no transparent huge pages",
            "lanes and state take more of the TLB",
            {}};
  Finding finding{"thp",
                  Level::fine,
                  fmt::format("private memory: {}; shared memory: {}", chosen(enabled), chosen(shared)),
                  "",
                  {}};
  if (chosen(shared) != "never" && chosen(shared) != "deny") return finding;
  finding.level = Level::note;
  finding.why = "the segment of a pipeline is shared memory, in pages of 4 KiB then";
  finding.commands = {fmt::format("echo advise > {}shmem_enabled", kDirectory)};
  return finding;
}

Finding mitigations(const Machine& machine) {
  constexpr std::string_view kDirectory = "/sys/devices/system/cpu/vulnerabilities/";
  std::string open;
  std::size_t mitigated = 0;
  std::size_t known = 0;
  for (const auto& [path, text] : machine.after) {
    if (!path.starts_with(kDirectory)) continue;
    ++known;
    if (text.starts_with("Mitigation")) ++mitigated;
    if (text.starts_with("Vulnerable")) open.append(open.empty() ? "" : ", ").append(path, kDirectory.size());
  }
  if (known == 0) return unknown("mitigations", "/sys/devices/system/cpu/vulnerabilities");
  std::string found = fmt::format("{} of {} need one and have it", mitigated, known);
  if (!open.empty()) found += "; open: " + open;
  return {"mitigations", Level::fine, std::move(found), "", {}};
}

Finding clock_source(const Machine& machine) {
  constexpr const char* kDirectory = "/sys/devices/system/clocksource/clocksource0/";
  const std::string current = text_at(machine.after, fmt::format("{}current_clocksource", kDirectory));
  if (current.empty()) return unknown("clock", "clocksource0");
  static const std::set<std::string> kFast{"tsc", "kvm-clock", "hyperv_clocksource_tsc_page",
                                           "arch_sys_counter"};
  if (kFast.contains(current)) return {"clock", Level::fine, current, "", {}};
  Finding finding{
      "clock", Level::warning, current, "each look at the clock is a system call or a slow device", {}};
  if (text_at(machine.after, fmt::format("{}available_clocksource", kDirectory)).find("tsc") !=
      std::string::npos)
    finding.commands = {fmt::format("echo tsc > {}current_clocksource", kDirectory)};
  return finding;
}

Finding stolen_time(const Machine& machine) {
  constexpr const char* kFile = "/proc/stat";
  const auto share = steal(text_at(machine.before, kFile), text_at(machine.after, kFile), machine.units);
  if (!share) return unknown("steal", kFile);
  std::string found = fmt::format("{:.1f} % of the time", *share * 100);
  if (*share < 0.01) return {"steal", Level::fine, std::move(found), "", {}};
  return {"steal",
          Level::warning,
          std::move(found),
          "the hypervisor runs others on these units: nothing in this machine helps against that",
          {}};
}

Finding numa_balancing(const Machine& machine) {
  const std::string on = text_at(machine.after, "/proc/sys/kernel/numa_balancing");
  if (on.empty() || on == "0") return {"numa balancing", Level::fine, "off", "", {}};
  return {"numa balancing",
          Level::note,
          "on",
          "it unmaps pages to see who uses them, bound ones too",
          {"sysctl kernel.numa_balancing=0"}};
}

void add_limits(const Machine& machine, std::vector<Finding>& findings) {
  const std::string limits = text_at(machine.after, "/proc/self/limits");
  struct Limit {
    const char* name;
    const char* area;
    unsigned long long least;
    const char* why;
    const char* command;
  };
  constexpr Limit kLimits[] = {
      {"Max locked memory", "memlock", 64ULL << 20, "a program that locks its memory locks its segments, too",
       "ulimit -l unlimited"},
      {"Max open files", "nofile", 1024, "each worker takes descriptors in all processes", "ulimit -n 65536"},
      {"Max processes", "nproc", 1024, "each worker is two processes, and each standby as well",
       "ulimit -u 65536"}};
  for (const Limit& limit : kLimits) {
    const auto soft = soft_limit(limits, limit.name);
    if (!soft) {
      findings.push_back(unknown(limit.area, "/proc/self/limits"));
      continue;
    }
    const std::string found = *soft == ~0ULL ? "unlimited" : fmt::format("{}", *soft);
    if (*soft >= limit.least) {
      findings.push_back({limit.area, Level::fine, found, "", {}});
    } else {
      findings.push_back({limit.area, Level::note, found, limit.why, {limit.command}});
    }
  }
}

Finding kernel(const Machine& machine) {
  const std::string release = text_at(machine.after, "/proc/sys/kernel/osrelease");
  const auto version = kernel_version(release);
  if (!version) return unknown("kernel", "/proc/sys/kernel/osrelease");
  if (*version < 504)
    return {"kernel",
            Level::warning,
            release,
            "5.4 is the least that pipelines run on: pidfds that can be polled",
            {}};
  if (*version < 601)
    return {"kernel",
            Level::note,
            release,
            "before 6.1 there is no MADV_COLLAPSE: no huge pages behind the start",
            {}};
  return {"kernel", Level::fine, release, "", {}};
}

}  // namespace

std::string_view name_of(Level level) {
  switch (level) {
    case Level::fine:
      return "fine";
    case Level::note:
      return "note";
    case Level::warning:
      return "warning";
    case Level::unknown:
      break;
  }
  return "unknown";
}

std::vector<Finding> audit(const Machine& machine) {
  std::vector<Finding> findings{interrupts(machine),   softirqs(machine),    rps(machine),
                                governor(machine),     idle_states(machine), siblings(machine),
                                isolation(machine),    huge_pages(machine),  mitigations(machine),
                                clock_source(machine), stolen_time(machine), numa_balancing(machine)};
  add_limits(machine, findings);
  findings.push_back(kernel(machine));
  return findings;
}

}  // namespace sluice::command
