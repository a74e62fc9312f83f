// The standard options of a Sluice program, for programs that parse theirs with CLI11.
#pragma once

#include <CLI/CLI.hpp>

#include <sluice/main.hpp>

namespace sluice {

inline void add_standard_options(CLI::App& app, StandardOptions& options) {
  const char* group = "Standard options";
  app.add_option("--set", options.assignments, "A setting, key=value; can be repeated (sluice config keys)")
      ->type_name("KEY=VALUE")
      ->group(group)
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--profile", options.profile, "balanced, latency, throughput or shared")
      ->type_name("NAME")
      ->group(group);
  app.add_flag("--placement", options.placement, "Print where every process runs")->group(group);
  app.add_flag("--quiet", options.quiet, "No table of the stages")->group(group);
}

}  // namespace sluice
