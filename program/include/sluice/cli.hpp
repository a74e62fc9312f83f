// SPDX-License-Identifier: Apache-2.0
// The standard options of a Sluice program, for programs that parse theirs with CLI11.
#pragma once

#include <CLI/CLI.hpp>

#include <sluice/chaos_schedule.hpp>
#include <sluice/detail/command_line.hpp>
#include <sluice/error.hpp>
#include <sluice/main.hpp>

namespace sluice {

// After a parse that threw: prints what was asked for (--help), or what is wrong and the option that was
// probably meant. An exit status.
int end_of_parse(const CLI::App& app, const CLI::ParseError& error);

// Adds --set, --profile, --placement, --chaos and --quiet. What is given for them goes into `options`, which
// must live as long as `app`. A --chaos that cannot be understood is a CLI::ValidationError when `app`
// parses.
inline void add_standard_options(CLI::App& app, StandardOptions& options) {
  const char* group = "Standard options";
  app.add_option("--set", options.assignments, "A setting, key=value; can be repeated\n(sluice config keys)")
      ->type_name("KEY=VALUE")
      ->group(group)
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--profile", options.profile, "balanced, latency, throughput or shared")
      ->type_name("NAME")
      ->check(detail::not_empty())
      ->group(group);
  app.add_flag("--placement", options.placement, "Print where every process runs")->group(group);
  const auto read_chaos = [&options](const std::string& text) {
    try {
      options.chaos = to_text(parse_chaos(text));
    } catch (const Error& error) {
      throw CLI::ValidationError{"--chaos", error.what()};
    }
  };
  app.add_option_function<std::string>("--chaos", read_chaos,
                                       "Hurt the pipeline while it runs; without TEXT by\n"
                                       "\"kill=5/s stall=0.2/s stop=0.2/s\", random seed=N")
      ->type_name("TEXT")
      ->expected(0, 1)
      ->group(group);
  app.add_flag("--quiet", options.quiet, "No table of the stages")->group(group);
}

}  // namespace sluice
