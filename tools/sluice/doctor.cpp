// SPDX-License-Identifier: Apache-2.0
// `sluice doctor`: what on this machine disturbs a pipeline. Reads, and changes nothing.

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/pinning/bind.hpp>
#include <sluice/pinning/topology.hpp>
#include <sluice/units.hpp>

#include "commands.hpp"
#include "doctor/findings.hpp"

namespace sluice::command {
namespace {

constexpr int kSomethingWouldHelp = 3;

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator at{directory, error}, end; !error && at != end;
       at.increment(error))
    names.push_back(at->path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

Texts read_all(const std::vector<std::string>& paths) {
  Texts texts;
  for (const std::string& path : paths) {
    std::ifstream file{path};
    if (!file) continue;
    std::ostringstream text;
    text << file.rdbuf();
    texts[path] = text.str();
  }
  return texts;
}

struct DoctorOptions {
  std::string units;
  std::string watch = "1s";
  bool json = false;
};

pinning::CpuSet units_asked(const std::string& list) {
  pinning::CpuSet units = list.empty() ? pinning::current_units() : pinning::CpuSet::parse(list);
  if (units.empty())
    throw Error{{"look at the units", "\"" + list + "\"", "there is none in it", "write 0-3,8"}};
  if (list.empty()) return units;
  pinning::CpuSet here;
  for (const pinning::ProcessingUnit& unit : pinning::read_topology().units)
    here.insert(unit.os_index);
  if (const pinning::CpuSet elsewhere = units - here; !elsewhere.empty()) {
    throw Error{{"look at the units", "\"" + list + "\"",
                 "this machine has no " + elsewhere.to_string() + ", or it is offline",
                 "its units are " + here.to_string()}};
  }
  return units;
}

std::chrono::nanoseconds time_asked(const std::string& text) {
  const auto parsed = parse_duration(text);
  if (parsed.ok() && parsed.value.count() > 0) return parsed.value;
  throw Error{
      {"watch for", "'" + text + "'", parsed.ok() ? "it is no time" : parsed.fault, "write 500ms or 10s"}};
}

int examine(const DoctorOptions& options) {
  using Clock = std::chrono::steady_clock;
  Machine machine;
  machine.units = units_asked(options.units);
  const std::chrono::nanoseconds watch = time_asked(options.watch);
  const std::vector<std::string> paths = paths_for(machine.units, names_in);
  machine.before = read_all(paths);
  const auto start = Clock::now();
  std::this_thread::sleep_for(watch);
  machine.after = read_all(paths);
  machine.between = Clock::now() - start;
  const std::vector<Finding> findings = audit(machine);
  options.json ? print_exactly(to_json(findings)) : print(to_text(findings));
  const bool all_well = std::none_of(findings.begin(), findings.end(),
                                     [](const Finding& finding) { return finding.level == Level::warning; });
  return all_well ? 0 : kSomethingWouldHelp;
}

}  // namespace

void add_doctor(CLI::App& program, int& status) {
  CLI::App* doctor =
      program.add_subcommand("doctor", "What on this machine disturbs a pipeline; changes nothing");
  const auto options = std::make_shared<DoctorOptions>();
  doctor->add_option("--units", options->units, "Units of the pipeline; all that are allowed")
      ->type_name("LIST");
  doctor->add_option("--for", options->watch, "How long to count interrupts and stolen time")
      ->type_name("TIME")
      ->capture_default_str();
  doctor->add_flag("--json", options->json, "One JSON array, an object for each finding");
  end_help(*doctor,
           "Exit status: 0 no warning, 3 there are warnings (notes do not count),\n"
           "1 it could not be done, 2 the command line is wrong.",
           {"sluice doctor", "sluice doctor --units 2-7 --for 10s", "sluice doctor --json | jq '.[].title'"});
  doctor->callback([options, &status] { status = examine(*options); });
}

}  // namespace sluice::command
