// SPDX-License-Identifier: Apache-2.0
// `sluice bench`: runs the benchmark suites, tells what they found, compares it, and checks it against the
// targets.

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <machine.hpp>
#include <memory>
#include <optional>
#include <page.hpp>
#include <string>
#include <string_view>
#include <tables.hpp>
#include <targets.hpp>
#include <unistd.h>
#include <utility>

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <sluice/error.hpp>

#include "bench_options.hpp"
#include "commands.hpp"

namespace sluice::command {
namespace {

constexpr int kFailed = 1;
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
  void operator()(bench::Stage stage, const std::string& text) {
    const bool ended = stage == bench::Stage::ended;
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

bench::Report measured(const BenchWords& words, std::vector<bench::Suite> suites) {
  bench::Report report;
  report.version = bench::built_version();
  report.commit = bench::built_commit();
  report.date = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::time(nullptr)));
  report.quick = words.quick;
  report.machine = bench::describe_machine();
  report.settings = bench::describe_settings();
  report.placement = bench::describe_placement();
  bench::RunRequest request;
  request.quick = words.quick;
  request.filter = words.filter;
  request.directory = program_directory();
  for (const bench::Suite& suite : suites)
    request.peers |= words.peers || suite.name == "peers";
  request.suites = std::move(suites);
  report.peers = request.peers;
  if (bench::usable_units() < 2) {
    std::fputs(
        "bench: this process may use one processing unit only: suites whose sides need one each are "
        "skipped\n",
        stderr);
  }
  ProgressLine line;
  report.suites =
      bench::run_suites(request, [&line](bench::Stage stage, const std::string& text) { line(stage, text); });
  return report;
}

// 0 if all that was asked for ran to its end without a benchmark that failed.
int status_of(const bench::Report& report) {
  int status = 0;
  for (const bench::SuiteResult& suite : report.suites) {
    if (suite.outcome == bench::Outcome::interrupted) return kInterrupted;
    if (suite.outcome != bench::Outcome::completed) status = kFailed;
    for (const bench::Benchmark& benchmark : suite.benchmarks) {
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
  std::vector<bench::Suite> suites = suites_asked(words);
  std::optional<bench::Report> before;
  if (!words.compare.empty()) before = bench::read_report(words.compare);
  std::optional<bench::Report> report;
  if (!words.from.empty()) report = bench::read_report(words.from);
  std::optional<OutputFile> json;
  std::optional<OutputFile> html;
  if (!words.json.empty()) json.emplace(words.json);
  if (!words.html.empty()) html.emplace(words.html);

  if (!report) report = measured(words, std::move(suites));
  if (json) json->write(bench::to_json(*report));
  if (html) html->write(bench::page(*report, before ? &*before : nullptr));
  const bool colours = colours_wanted();
  print(bench::results_table(*report, colours) + "\n" + bench::summary(*report));
  if (before) print("\n" + bench::differences_table(*before, *report, colours));
  if (words.check) print("\n" + bench::targets_table(bench::targets(*report), colours));
  return words.from.empty() ? status_of(*report) : 0;
}

std::string suites_help() {
  std::string text = "Suites, with about the seconds they take (and with --quick):\n";
  for (const bench::Suite& suite : bench::all_suites()) {
    text += fmt::format("  {:<9} {:>3} ({:>2})  {}\n", suite.name, suite.full.count(), suite.quick.count(),
                        suite.question);
  }
  return text;
}

}  // namespace

void add_bench(CLI::App& program, int& status) {
  auto words = std::make_shared<BenchWords>();
  CLI::App* bench = program.add_subcommand("bench", "Run the benchmark suites and tell what they found");
  bench->add_option("SUITE", words->suites, "Which ones; all of them, without peers, if none is named")
      ->type_name("");
  bench->add_flag("--peers", words->peers,
                  "Other products too, in the same run (tools/bench-setup installs them)");
  bench->add_flag("--quick", words->quick,
                  "Less of everything: for a first look, not for figures to believe");
  const auto file = [&](const char* name, std::string& value, const char* help) {
    bench->add_option(name, value, help)->type_name("FILE");
  };
  file("--json", words->json, "Write every sample, the machine, the settings");
  file("--html", words->html, "Write a page with charts, for any browser");
  file("--compare", words->compare, "Compare with the --json FILE of an earlier run");
  bench->add_flag("--check", words->check, "Tell which targets hold; says nothing by the exit status");
  file("--from", words->from, "Run nothing, and take the --json FILE of an earlier run for this one");
  bench->add_option("--filter", words->filter, "Only benchmarks whose names match")->type_name("REGEX");
  bench->footer(
      suites_help() +
      "\nEnds with status 0 if everything asked for ran, 1 if a suite or a benchmark did not, 130 if "
      "interrupted.\n\nTry:\n"
      "  sluice bench lane --quick\n"
      "  sluice bench --peers --json new.json --html new.html --compare old.json --check");
  bench->callback([words, &status] { status = run_bench(*words); });
}

}  // namespace sluice::command
