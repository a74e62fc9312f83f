// SPDX-License-Identifier: Apache-2.0
// `sluice calibrate`: what a line takes from unit to unit, for the plans of this machine.

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>
#include <sluice/error.hpp>
#include <sluice/pinning/bind.hpp>
#include <sluice/pinning/calibration.hpp>
#include <sluice/units.hpp>

#include "commands.hpp"

namespace sluice::command {
namespace {

struct CalibrateOptions {
  std::string units;
  std::string time = "2s";
  bool show_only = false;
};

// So many columns fit; a larger machine's matrix stands in the file.
constexpr std::size_t kMostShownUnits = 11;

std::string matrix_text(const pinning::MeasuredCosts& costs) {
  const std::size_t shown = std::min(costs.units.size(), kMostShownUnits);
  std::string text = fmt::format("{:>8}", "ns");
  for (std::size_t to = 0; to < shown; ++to)
    text += fmt::format("{:>6}", costs.units[to]);
  text += "\n";
  for (std::size_t from = 0; from < shown; ++from) {
    text += fmt::format("{:>8}", costs.units[from]);
    for (std::size_t to = 0; to < shown; ++to) {
      const double cost = costs.nanoseconds[from * costs.units.size() + to];
      text += from == to ? fmt::format("{:>6}", "-") : fmt::format("{:>6.0f}", cost);
    }
    text += "\n";
  }
  if (shown < costs.units.size())
    text += fmt::format("and {} more\n", detail::counted(costs.units.size() - shown, "unit"));
  return text;
}

// Of a second at least, and some more than what it took.
std::string long_enough(std::chrono::nanoseconds enough) {
  return fmt::format("{}s", 1 + std::chrono::ceil<std::chrono::seconds>(enough * 3 / 2).count());
}

void calibrate(const CalibrateOptions& options) {
  const auto time = parse_duration(options.time);
  if (!time.ok()) throw Error{{"measure for", "'" + options.time + "'", time.fault, "write 2s"}};
  const pinning::CpuSet allowed = pinning::current_units();
  const pinning::CpuSet units = options.units.empty() ? allowed : pinning::CpuSet::parse(options.units);
  if (const pinning::CpuSet elsewhere = units - allowed; !elsewhere.empty()) {
    throw Error{{"measure the way between units", "\"" + options.units + "\"",
                 fmt::format("this process may not run on {}; allowed are {}", elsewhere.to_string(),
                             allowed.to_string()),
                 "name two or more of these"}};
  }
  const pinning::Calibration measured = pinning::measure_costs(units, time.value);
  const pinning::MeasuredCosts& costs = measured.costs;
  if (measured.fewest_looks < pinning::kLeastLooks) {
    throw Error{{"measure the way between", fmt::format("{} units in {}", costs.units.size(), options.time),
                 fmt::format("there was no time for {} looks at every pair ({})", pinning::kLeastLooks,
                             costs.units.size() * (costs.units.size() - 1) / 2),
                 fmt::format("give --for {} or more, or fewer --units", long_enough(measured.enough))}};
  }
  print(matrix_text(costs));
  if (!costs.steady) {
    print(
        "The same pair differs from one time to the next: these units wander between\n"
        "caches, as those of a virtual machine do. A plan cannot know how far apart\n"
        "they are, says so, and goes by the topology.\n");
  }
  if (!options.show_only)
    print(fmt::format("kept in {}\n", pinning::keep_costs(costs, pinning::read_topology()).string()));
}

}  // namespace

void add_calibrate(CLI::App& program) {
  CLI::App* command =
      program.add_subcommand("calibrate", "Measure the way between processing units, for plans");
  const auto options = std::make_shared<CalibrateOptions>();
  command->add_option("--units", options->units, "Units to measure; all that are allowed")->type_name("LIST");
  command->add_option("--for", options->time, "How long to measure")
      ->type_name("TIME")
      ->capture_default_str();
  command->add_flag("--no-keep", options->show_only, "Show the costs only");
  end_help(*command,
           "Costs are kept in $XDG_CACHE_HOME/sluice, ~/.cache/sluice, or by root for all\n"
           "in /var/cache/sluice, by machine and topology; plans of this machine use them.\n"
           "Measure while nothing else runs.",
           {"sluice calibrate", "sluice calibrate --units 0-7 --for 10s", "sluice calibrate --no-keep"});
  command->callback([options] { calibrate(*options); });
}

}  // namespace sluice::command
