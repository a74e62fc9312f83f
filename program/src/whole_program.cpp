// SPDX-License-Identifier: Apache-2.0
// sluice::main: the whole program around a pipeline, from its command line to its exit status.
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include <fmt/format.h>

#include <sluice/cli.hpp>
#include <sluice/detail/command_line.hpp>
#include <sluice/detail/journal.hpp>
#include <sluice/detail/settings_summary.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>

namespace sluice {

using namespace detail;

namespace {

// A program that only runs its pipeline neither pushes nor pulls: the pipeline would never end.
void refuse_ends_of_the_host(const Pipeline& pipeline) {
  for (const Node& node : pipeline.graph().nodes) {
    if (node.kind != NodeKind::inlet && node.kind != NodeKind::outlet) continue;
    throw Error{
        {"run the pipeline " + pipeline.name() + " as a program", "",
         fmt::format("its {} '{}' is for a host that {}", node.kind == NodeKind::inlet ? "inlet" : "outlet",
                     node.name, node.kind == NodeKind::inlet ? "pushes" : "pulls"),
         "begin with a source and end with a stage, or use Engine"}};
  }
}

int misused(const std::string& why) {
  say(Priority::error, fmt::format("error: {}\n", printable_message(why)));
  return kExitUsage;
}

// What is in `app` stands there before the standard options, so that a program may say it in its own words.
void complete(CLI::App& app, const std::string& name, StandardOptions& options) {
  if (app.get_option_no_throw("--version") == nullptr)
    app.set_version_flag("--version", name + ", with Sluice " SLUICE_VERSION, "Print the version and exit");
  add_help_all(app, app.get_help_ptr() != nullptr ? app.get_help_ptr()->get_group() : "Options");
  if (app.get_footer().empty()) {
    app.footer(settings_summary() + "\nExamples:\n  " + name +
               " --set lane.slots=64K --profile throughput\n  " + name +
               " --quiet --chaos \"kill=20/s\"\n  " + name + " --set segment.path=/run/" + name +
               "/segment --placement");
  }
  add_standard_options(app, options);
}

std::string name_of(int argc, char** argv, const std::string& otherwise) {
  return argc > 0 ? printable(std::filesystem::path{argv[0]}.filename().string()) : otherwise;
}

// Once its command line is read.
int run_to_the_end(const Pipeline& pipeline, const StandardOptions& options) {
  try {
    refuse_ends_of_the_host(pipeline);
    const Settings settings = pipeline.with_defaults(settings_from(options));
    Engine engine{pipeline, settings};
    return flushed(run(engine, options, settings));
  } catch (const Error& error) {
    return misused(error.what());
  }
}

}  // namespace

int main(int argc, char** argv, const Pipeline& pipeline) {
  CLI::App app{"The pipeline " + pipeline.name() + "."};
  StandardOptions options;
  complete(app, name_of(argc, argv, pipeline.name()), options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return end_of_parse(app, error);
  }
  return run_to_the_end(pipeline, options);
}

int main(int argc, char** argv, const std::function<Pipeline(int, char**)>& build) {
  std::optional<Pipeline> pipeline;
  try {
    executed_worker(argc, argv, build);
    pipeline = build(argc, argv);
  } catch (const std::exception& error) {
    return misused(error.what());
  }
  return main(argc, argv, *pipeline);
}

int main(int argc, char** argv, CLI::App& app, const std::function<Pipeline()>& build) {
  std::optional<Pipeline> pipeline;
  StandardOptions options;
  try {
    complete(app, name_of(argc, argv, "the program"), options);
    // A replacement reads the arguments of the start for itself.
    executed_worker(argc, argv, [&](int count, char** words) {
      app.parse(count, words);
      return build();
    });
    app.parse(argc, argv);
    pipeline = build();
  } catch (const CLI::ParseError& error) {
    return end_of_parse(app, error);
  } catch (const std::exception& error) {
    return misused(error.what());
  }
  return run_to_the_end(*pipeline, options);
}

}  // namespace sluice
