// SPDX-License-Identifier: Apache-2.0
// Which files `sluice doctor` reads, and how its findings are shown.
#include <fmt/format.h>

#include <sluice/printable.hpp>

#include "findings.hpp"

namespace sluice::command {
namespace {

constexpr std::size_t kColumns = 80;
constexpr std::size_t kIndent = 26;

// Words behind a margin, in lines that fit.
std::string wrapped(std::string_view text) {
  std::string out;
  std::size_t column = kIndent;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    if (column > kIndent && column + 1 + end > kColumns) {
      out.append("\n").append(kIndent, ' ');
      column = kIndent;
    } else if (column > kIndent) {
      out.append(" ");
      ++column;
    }
    out.append(text.substr(0, end));
    column += end;
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return out;
}

// Text, or a list of texts, of JSON.
std::string json_list(const std::vector<std::string>& texts) {
  std::string out = "[";
  for (const std::string& text : texts)
    out.append(out.size() > 1 ? "," : "").append(json_text(text));
  return out.append("]");
}

}  // namespace

std::vector<std::string> paths_for(const pinning::CpuSet& units,
                                   const std::function<std::vector<std::string>(const std::string&)>& list) {
  std::vector<std::string> paths{"/proc/interrupts",
                                 "/proc/softirqs",
                                 "/proc/stat",
                                 "/proc/self/limits",
                                 "/proc/sys/kernel/osrelease",
                                 "/proc/sys/kernel/numa_balancing",
                                 "/sys/devices/system/cpu/online",
                                 "/sys/devices/system/cpu/isolated",
                                 "/sys/devices/system/cpu/nohz_full",
                                 "/sys/kernel/mm/transparent_hugepage/enabled",
                                 "/sys/kernel/mm/transparent_hugepage/shmem_enabled",
                                 "/sys/devices/system/clocksource/clocksource0/current_clocksource",
                                 "/sys/devices/system/clocksource/clocksource0/available_clocksource"};
  const auto add = [&](const std::string& directory, std::string_view behind, std::string_view begin = {}) {
    for (const std::string& name : list(directory)) {
      if (name.starts_with(begin)) paths.push_back(fmt::format("{}{}{}", directory, name, behind));
    }
  };
  add("/sys/devices/system/cpu/vulnerabilities/", "");
  for (const std::string& device : list("/sys/class/net/"))
    add(fmt::format("/sys/class/net/{}/queues/", device), "/rps_cpus", "rx-");
  for (const unsigned unit : units.to_vector()) {
    const std::string directory = fmt::format("/sys/devices/system/cpu/cpu{}/", unit);
    paths.push_back(directory + "cpufreq/scaling_governor");
    paths.push_back(directory + "topology/thread_siblings_list");
    for (const char* file : {"/latency", "/name", "/disable"})
      add(directory + "cpuidle/", file, "state");
  }
  return paths;
}

std::string to_text(const std::vector<Finding>& findings) {
  std::string text;
  std::string commands;
  for (const Finding& finding : findings) {
    text += fmt::format("{:<15} {:<9} {}\n", finding.area, name_of(finding.level),
                        wrapped(printable(finding.found)));
    if (!finding.why.empty()) text += fmt::format("{:<26}{}\n", "", wrapped("(" + finding.why + ")"));
    for (const std::string& command : finding.commands)
      commands += fmt::format("  {}\n", printable(command));
  }
  if (!commands.empty()) text += "\nWhat would help, for root; nothing has been changed:\n" + commands;
  return text;
}

std::string to_json(const std::vector<Finding>& findings) {
  std::string text = "[";
  for (const Finding& finding : findings) {
    text += fmt::format("{}\n  {{\"area\":{},\"level\":\"{}\",\"found\":{},\"why\":{},\"commands\":{}}}",
                        text.size() > 1 ? "," : "", json_text(finding.area), name_of(finding.level),
                        json_text(finding.found), json_text(finding.why), json_list(finding.commands));
  }
  return text + "\n]\n";
}

}  // namespace sluice::command
