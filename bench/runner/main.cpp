// SPDX-License-Identifier: Apache-2.0
// sluice-bench, the program that `sluice bench` starts: runs the benchmark suites, tells what they found,
// compares it, and checks it against the targets. Exit status: 0 done, 1 a suite or a benchmark did not run
// to its end, 2 the command line is wrong, 130 interrupted.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <sluice/detail/command_line.hpp>
#include <sluice/detail/completed_commands.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>

#include "bench_options.hpp"
#include "machine.hpp"
#include "page.hpp"
#include "tables.hpp"
#include "targets.hpp"

namespace sluice::bench {
namespace {

constexpr int kFailed = 1;
constexpr int kMisused = 2;
constexpr int kInterrupted = 130;

void print(const std::string& text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
}

bool colours_wanted() {
  const char* no_color = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  if (no_color != nullptr && *no_color != '\0') return false;
  return ::isatty(STDOUT_FILENO) == 1 && terminal != nullptr && std::string_view{terminal} != "dumb";
}

// On a terminal one line that is written again and again; else a line for each start and each end.
class ProgressLine {
 public:
  void operator()(Stage stage, const std::string& text) {
    const bool ended = stage == Stage::ended;
    if (terminal_) {
      std::fputs(fmt::format("\r\x1b[Kbench: {}{}", text, ended ? "\n" : "").c_str(), stderr);
    } else if (ended || !running_) {
      std::fputs(fmt::format("bench: {}\n", text).c_str(), stderr);
    }
    running_ = !ended;
  }

 private:
  bool terminal_ = ::isatty(STDERR_FILENO) == 1;
  bool running_ = false;
};

Report measured(const BenchWords& words, std::vector<Suite> suites) {
  Report report;
  report.version = built_version();
  report.commit = built_commit();
  report.date = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  report.quick = words.quick;
  report.machine = describe_machine();
  report.settings = describe_settings();
  report.placement = describe_placement();
  RunRequest request;
  request.quick = words.quick;
  request.filter = words.filter;
  request.directory = program_directory();
  for (const Suite& suite : suites)
    request.peers |= words.peers || suite.name == "peers";
  request.suites = std::move(suites);
  report.peers = request.peers;
  if (usable_units() < 2) {
    std::fputs(
        "bench: this process may use one processing unit only: suites whose sides need one each are "
        "skipped\n",
        stderr);
  }
  ProgressLine line;
  report.suites = run_suites(request, [&line](Stage stage, const std::string& text) { line(stage, text); });
  return report;
}

// 0 if all that was asked for ran to its end without a benchmark that failed.
int status_of(const Report& report) {
  int status = 0;
  for (const SuiteResult& suite : report.suites) {
    if (suite.outcome == Outcome::interrupted) return kInterrupted;
    if (suite.outcome != Outcome::completed) status = kFailed;
    for (const Benchmark& benchmark : suite.benchmarks) {
      if (!benchmark.fault().empty()) status = kFailed;
    }
  }
  return status;
}

void refuse(const char* option, const char* why) {
  throw Error{{"use", option, why, "sluice bench --help tells more"}};
}

int run_bench(const BenchWords& words) {
  if (!words.from.empty() && (words.quick || words.peers || !words.suites.empty() || !words.filter.empty()))
    refuse("--from", "nothing is run then: give no suites, --quick, --peers or --filter");
  if (!words.json.empty() && words.json == words.html) refuse("--html", "it names the same file as --json");
  std::vector<Suite> suites = suites_asked(words);
  std::optional<Report> before;
  if (!words.compare.empty()) before = read_report(words.compare);
  std::optional<Report> report;
  if (!words.from.empty()) report = read_report(words.from);
  std::optional<OutputFile> json;
  std::optional<OutputFile> html;
  if (!words.json.empty()) json.emplace(words.json);
  if (!words.html.empty()) html.emplace(words.html);

  if (!report) report = measured(words, std::move(suites));
  if (json) json->write(to_json(*report));
  if (html) html->write(page(*report, before ? &*before : nullptr));
  const bool colours = colours_wanted();
  print(results_table(*report, colours) + "\n" + summary(*report));
  if (before) print("\n" + differences_table(*before, *report, colours));
  if (words.check) print("\n" + targets_table(targets(*report), colours));
  return words.from.empty() ? status_of(*report) : 0;
}

std::string suites_help() {
  std::string text = "Suites, with about the seconds they take (and with --quick):\n";
  for (const Suite& suite : all_suites()) {
    text += fmt::format("  {:<9} {:>3} ({:>2})  {}\n", suite.name, suite.full.count(), suite.quick.count(),
                        suite.question);
  }
  return text;
}

void add_options(CLI::App& program, BenchWords& words) {
  program.add_option("SUITE", words.suites, "Which ones; all of them, without peers, if none is named")
      ->type_name("");
  program.add_flag("--peers", words.peers,
                   "Other products too, in the same run (tools/bench-setup installs them)");
  program.add_flag("--quick", words.quick,
                   "Less of everything: for a first look, not for figures to believe");
  const auto file = [&program](const char* name, std::string& value, const char* help) {
    program.add_option(name, value, help)->type_name("FILE");
  };
  file("--json", words.json, "Write every sample, the machine, the settings");
  file("--html", words.html, "Write a page with charts, for any browser");
  file("--compare", words.compare, "Compare with the --json FILE of an earlier run");
  program.add_flag("--check", words.check, "Tell which targets hold; says nothing by the exit status");
  file("--from", words.from, "Run nothing, and take the --json FILE of an earlier run for this one");
  program.add_option("--filter", words.filter, "Only benchmarks whose names match")->type_name("REGEX");
  program.footer(
      suites_help() +
      "\nexamples/bank beside the same system in Node (payments a second, latency,\nrows wrong after kills): "
      "tools/bench-bank.\n"
      "\nEnds with status 0 if everything asked for ran, 1 if a suite or a benchmark did not, 130 if "
      "interrupted.\n\nExamples:\n"
      "  sluice bench lane --quick\n"
      "  sluice bench --peers --json new.json --html new.html\n"
      "  sluice bench --from new.json --compare old.json --check");
}

int print_completion_words(const CLI::App& program) {
  std::vector<detail::CompletedCommand> commands = detail::completed_commands(program);
  for (const Suite& suite : all_suites())
    commands.front().words.append(" ").append(suite.name);
  std::fputs(detail::to_text(commands).c_str(), stdout);
  return detail::flush_output() ? 0 : kFailed;
}

int run(int argc, char** argv) {
  // Its users know it by the command that starts it.
  CLI::App program{"Run the benchmark suites and tell what they found", "sluice bench"};
  program.set_help_flag("-h,--help", "Print this help and exit");
  program.set_version_flag("--version", "sluice bench " + built_version(), "Print the version and exit");
  program.formatter(detail::help_formatter());
  BenchWords words;
  add_options(program, words);
  if (argc == 2 && std::string_view{argv[1]} == detail::kCompletionWords)
    return print_completion_words(program);
  try {
    program.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 also leaves by an exception for --help.
    if (error.get_exit_code() != 0) {
      detail::print_misuse(program, detail::complaint(program, error));
      return kMisused;
    }
    program.exit(error);
    return detail::flush_output() ? 0 : kFailed;
  }
  const int status = run_bench(words);
  return status == 0 && !detail::flush_output() ? kFailed : status;
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  try {
    return sluice::bench::run(argc, argv);
  } catch (const sluice::Error& error) {
    std::fprintf(stderr, "sluice: %s\n", sluice::printable_message(error.what()).c_str());
    return sluice::bench::kMisused;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "sluice: %s\n", sluice::printable_message(error.what()).c_str());
    return sluice::bench::kFailed;
  }
}
