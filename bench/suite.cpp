// SPDX-License-Identifier: Apache-2.0
#include "suite.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <iostream>
#include <sched.h>
#include <sstream>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "disturbance.hpp"

namespace sluice::bench {
namespace {

// The library's own --help neither fits 80 columns nor knows of our options.
constexpr const char* kHelp = R"(usage: {0} [options]

A suite of `sluice bench`, which runs all of them and compares what they say.

What is measured:
  --quick               fewer parameters and shorter runs: a first look
  --peers               other products too, as far as they are here
  --benchmark_filter=REGEX
                        only what has a name that matches
  --benchmark_list_tests
                        the names, and nothing is run
How often; what a suite takes otherwise is in brackets:
  --benchmark_repetitions=N
                        rounds of each [5]
  --benchmark_min_time=SECONDS
                        of a round at least [0.1, with --quick 0.01]
  --benchmark_enable_random_interleaving=true|false
                        rounds of all in turn, so that a drift meets all [true]
What is said:
  --benchmark_report_aggregates_only=true|false
                        mean, median and the like, not each round [true]
  --benchmark_format=console|json|csv
  --benchmark_color=auto|true|false
  --benchmark_counters_tabular=true|false
  --benchmark_out=FILE  a file of it besides
  --benchmark_out_format=json|console|csv
  --v=N                 what the library says while it runs, 0 and up [0]
Other:
  --version
  -h, --help

Examples:
  {0} --quick
  {0} --benchmark_list_tests --quick --peers
  {0} --benchmark_repetitions=3 --benchmark_out=new.json
)";

bool asks_for_help(const std::vector<char*>& arguments) {
  return std::any_of(arguments.begin() + 1, arguments.end(), [](std::string_view argument) {
    return argument == "--help" || argument == "-h" || argument == "--help=true";
  });
}

bool may_use_units(unsigned units) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  ::sched_getaffinity(0, sizeof(allowed), &allowed);
  for (unsigned unit = 0; unit < units; ++unit) {
    if (!CPU_ISSET(unit, &allowed)) return false;
  }
  return true;
}

// Takes our own options out of the arguments.
Options take_options(std::vector<char*>& arguments) {
  Options options;
  std::erase_if(arguments, [&options](const char* argument) {
    const std::string_view text{argument};
    options.quick |= text == "--quick";
    options.peers |= text == "--peers";
    return text == "--quick" || text == "--peers";
  });
  return options;
}

// As the library's own, without its word that it was built as DEBUG: Debian's is optimised, and has its assertions on. What is
// timed is in our sources and its header, which are compiled here; docs/performance.md has what that was measured to be.
class Display final : public benchmark::ConsoleReporter {
 public:
  Display() : ConsoleReporter{::isatty(STDOUT_FILENO) != 0 ? OO_Color : OO_None} {}

  bool ReportContext(const Context& context) override {
    name_field_width_ = context.name_field_width;
    printed_header_ = false;
    prev_counters_.clear();
    std::stringstream lines;
    PrintBasicContext(&lines, context);
    for (std::string line; std::getline(lines, line);) {
      if (!line.starts_with("***WARNING*** Library was built as DEBUG")) GetErrorStream() << line << '\n';
    }
    return true;
  }
};

// Who asks for another display than the usual one gets the library's.
bool wants_the_usual_display(const std::vector<char*>& arguments) {
  constexpr std::array<std::string_view, 3> kOthers = {"--benchmark_format", "--benchmark_color",
                                                       "--benchmark_counters_tabular"};
  return std::ranges::none_of(arguments, [&](std::string_view argument) {
    return std::ranges::any_of(kOthers, [&](std::string_view other) { return argument.starts_with(other); });
  });
}

// An exit status: what nobody has heard is no result.
int end_of_output() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return 0;
  std::fputs("bench: cannot write to standard output\n", stderr);
  return 1;
}

}  // namespace

benchmark::internal::Benchmark* add(const std::string& name, Work work) {
#ifdef __clang_analyzer__  // It takes the registration, which the library keeps, for a leak.
  static_cast<void>(name);
  static_cast<void>(Work{std::move(work)});
  return nullptr;
#else
  return benchmark::RegisterBenchmark(name.c_str(),
                                      [work = std::move(work)](benchmark::State& state) {
                                        const double trip_before_ns = line_trip_ns();
                                        const Disturbance disturbance;
                                        try {
                                          work(state);
                                        } catch (const std::exception& error) {
                                          state.SkipWithError(error.what());
                                        }
                                        if (!state.counters.contains(kOthersPercent))
                                          report(disturbance.until_now(), state);
                                        state.counters[kLineTrip] = std::max(trip_before_ns, line_trip_ns());
                                      })
      ->UseRealTime();
#endif
}

int run_suite(int argc, char** argv, unsigned units, void (*add_all)(const Options&)) {
  // Inherited ignored from some shells and supervisors: the kernel then keeps no account of children.
  std::signal(SIGCHLD, SIG_DFL);
  std::vector<char*> arguments{argv, argv + argc};
  if (arguments.size() == 2 && std::string_view{arguments[1]} == "--version") {
    std::puts("sluice bench, a suite of Sluice " SLUICE_VERSION);
    return end_of_output();
  }
  if (arguments.size() > 1 && asks_for_help(arguments)) {
    fmt::print(kHelp, std::filesystem::path{arguments.front()}.filename().string());
    return end_of_output();
  }
  const Options options = take_options(arguments);
  const bool usual = wants_the_usual_display(arguments);
  std::string repetitions = "--benchmark_repetitions=5";
  std::string interleaving = "--benchmark_enable_random_interleaving=true";
  std::string aggregates = "--benchmark_report_aggregates_only=true";
  std::string min_time = options.quick ? "--benchmark_min_time=0.01" : "--benchmark_min_time=0.1";
  // The program's own arguments come later and win.
  arguments.insert(arguments.begin() + 1,
                   {repetitions.data(), interleaving.data(), aggregates.data(), min_time.data()});
  auto count = static_cast<int>(arguments.size());
  benchmark::Initialize(&count, arguments.data());
  if (benchmark::ReportUnrecognizedArguments(count, arguments.data())) return 2;
  if (!may_use_units(units)) {
    std::fprintf(stderr,
                 "cannot run this suite: its sides need a processing unit of their own each, 0 to %u, and "
                 "not all of them are this process's to use (see taskset -p)\n",
                 units - 1);
    return kTooFewUnits;
  }
  add_all(options);
  Display display;
  benchmark::RunSpecifiedBenchmarks(usual ? &display : nullptr);
  benchmark::Shutdown();
  std::cout.flush();
  return end_of_output();
}

}  // namespace sluice::bench
