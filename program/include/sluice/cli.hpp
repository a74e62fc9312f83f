// SPDX-License-Identifier: Apache-2.0
// A Sluice program with options of its own, which CLI11 reads: the whole program, or the standard options to be added to its parser.
//
//     int main(int argc, char** argv) {
//       CLI::App app{"Counts the words of a file."};
//       std::string input;
//       app.add_option("input", input, "The file")->required()->type_name("FILE");
//       return sluice::main(argc, argv, app, [&] { return counting(input); });
//     }
#pragma once

#include <functional>

#include <CLI/CLI.hpp>

#include <sluice/chaos_schedule.hpp>
#include <sluice/detail/command_line.hpp>
#include <sluice/error.hpp>
#include <sluice/main.hpp>

namespace sluice {

// After a parse that threw: prints what was asked for (--help), or what is wrong and the option that was
// probably meant. An exit status: kExitFailed where what was asked for could not be written.
int end_of_parse(const CLI::App& app, const CLI::ParseError& error);

// Adds --help-all, which says all about the settings, --set, --profile, --placement, --chaos and --quiet. What is given for them goes into `options`, which
// must live as long as `app`. A --chaos that cannot be understood is a CLI::ValidationError when `app`
// parses.
inline void add_standard_options(CLI::App& app, StandardOptions& options) {
  const char* group = "Standard options";
  detail::add_help_all(app, group);
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
    if (text.empty() || detail::was_given_empty("--chaos"))
      throw CLI::ValidationError{"--chaos", "it is empty: leave it away, or say what is to be done"};
    try {
      options.chaos = to_text(text == "default" ? default_chaos() : parse_chaos(text));
    } catch (const Error& error) {
      throw CLI::ValidationError{"--chaos", error.what()};
    }
  };
  app.add_option_function<std::string>("--chaos", read_chaos,
                                       "Hurt the pipeline while it runs; without TEXT by\n"
                                       "\"kill=5/s stall=0.2/s stop=0.2/s\", random seed=N")
      ->type_name("TEXT")
      ->expected(0, 1)
      ->default_str("default")
      ->group(group);
  app.add_flag("--quiet", options.quiet, "No table of the stages")->group(group);
}

// sluice::main (main.hpp) for a program whose own options are in `app`: adds the standard options, --version and, where there
// is none, a footer, reads the command line, and runs the pipeline that `build` makes of what was read. Calls executed_worker(), so
// that `build` runs again in a replacement of a stage with hostile input: it makes the same pipeline from the same options.
// `app` must live as long. What `build` throws is told as a misuse. Gives an exit status; throws no Error.
int main(int argc, char** argv, CLI::App& app, const std::function<Pipeline()>& build);

}  // namespace sluice
