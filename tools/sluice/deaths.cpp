// SPDX-License-Identifier: Apache-2.0
// `sluice deaths`: what a pipeline has reported of deaths, stalls and waits, in the order in which it happened.

#include <algorithm>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/printable.hpp>

#include "commands.hpp"
#include "reports.hpp"

namespace sluice::command {
namespace {

using Kind = JsonValue::Kind;

struct DeathsSaid {
  std::string path;
  std::size_t number = 0;
  std::size_t last = 0;  // 0: all.
  std::string pipeline;
  std::string stage;
  bool json = false;
};

// Everything stands in its line, and nothing of it reaches the terminal as it came.
std::string field(const Report& report, const char* name) {
  return printable(report.fields.text(name));
}

// The last word of each line: the message, or what else tells most.
std::string story_of(const Report& report) {
  const std::string message = field(report, "message");
  const std::string cause = field(report, "cause");
  if (!cause.empty() && !message.empty()) return cause + ": " + message;
  return cause.empty() ? message : cause;
}

std::string row_of(const Report& report) {
  const std::string signal = field(report, "signal");
  return fmt::format("{:>6}  {:<27}  {:<16} {:<16} {:<16} {:>6}  {}\n", report.number, field(report, "time"),
                     field(report, "pipeline"), field(report, "worker"), field(report, "report"),
                     signal.empty() || signal == "0" ? "-" : signal, story_of(report));
}

// Behind what is there, so that it is the last thing seen.
void tell_of_the_rest(const Reports& reports) {
  std::fflush(stdout);
  for (const std::string& torn : reports.torn) {
    std::fprintf(stderr, "remark: a report is cut off: %s; its writer has died or its disk was full\n",
                 torn.c_str());
  }
  if (reports.unreadable.empty()) return;
  // Of a file of something else it would be every line.
  constexpr std::size_t kMostNamed = 3;
  const std::size_t named = std::min(reports.unreadable.size(), kMostNamed);
  std::string which;
  for (std::size_t i = 0; i < named; ++i)
    which.append(i == 0 ? "" : "; ").append(reports.unreadable[i]);
  if (named < reports.unreadable.size())
    which.append(fmt::format("; and {} lines more", reports.unreadable.size() - named));
  throw Error{{"read all of", "the reports", which, "name files that a pipeline wrote"}};
}

void list(const DeathsSaid& said) {
  const Reports reports = reports_in(said.path);
  std::vector<const Report*> shown;
  for (const Report& report : reports.all) {
    if (is_of(report, said.pipeline, said.stage)) shown.push_back(&report);
  }
  if (said.last != 0 && shown.size() > said.last)
    shown.erase(shown.begin(), shown.end() - static_cast<std::ptrdiff_t>(said.last));
  if (!said.json) {
    print(fmt::format("{:>6}  {:<27}  {:<16} {:<16} {:<16} {:>6}  {}\n", "number", "time", "pipeline",
                      "worker", "report", "signal", "cause"));
  }
  for (const Report* report : shown) {
    if (!said.json) {
      print(row_of(*report));
      continue;
    }
    std::string json = fmt::format("{{\"number\":{}", report->number);
    for (const auto& [name, value] : report->fields.members())
      json.append(",").append(json_text(name)).append(":").append(value.json);
    print(json + "}\n");
  }
  tell_of_the_rest(reports);
}

void show(const DeathsSaid& said) {
  const Reports reports = reports_in(said.path);
  if (said.number == 0 || said.number > reports.all.size()) {
    throw Error{{"show report", std::to_string(said.number),
                 fmt::format("there are {} in {}", reports.all.size(), printable(said.path)),
                 "name the number that `sluice deaths list` gives it"}};
  }
  for (const auto& [name, value] : reports.all[said.number - 1].fields.members()) {
    if (value.kind != Kind::list) {
      print(fmt::format("{:<12} {}\n", printable(name), printable(value.text)));
      continue;
    }
    print(printable(name) + "\n");
    for (const std::string& item : value.items)
      print("  " + printable(item) + "\n");
  }
  tell_of_the_rest(reports);
}

CLI::App* add(CLI::App& parent, const char* name, const char* purpose,
              const std::shared_ptr<DeathsSaid>& said) {
  CLI::App* command = parent.add_subcommand(name, purpose);
  command
      ->add_option("path", said->path, "A file deaths.jsonl, or the directory that it, or each run's, is in")
      ->required()
      ->check(not_empty())
      ->type_name("PATH");
  return command;
}

}  // namespace

void add_deaths(CLI::App& program) {
  CLI::App* deaths = program.add_subcommand("deaths", "What pipelines have reported of deaths: list, show");
  deaths->require_subcommand(1);
  constexpr const char* kPath =
      "A pipeline writes deaths.jsonl into report.path, and tells the PATH when it ends; deaths.jsonl.1 "
      "beside it is older "
      "and is read too.";
  end_help(*deaths, kPath,
           {"sluice deaths list sluice-reports", "sluice deaths list sluice-reports --stage parse --last 10",
            "sluice deaths show sluice-reports 3"});
  const auto said = std::make_shared<DeathsSaid>();
  CLI::App* all = add(*deaths, "list", "A line for each report, in order of time", said);
  all->add_option("--pipeline", said->pipeline, "Only those of the pipeline NAME")->type_name("NAME");
  all->add_option("--stage", said->stage, "Only those of the workers of a stage, or of one: parse, parse/0")
      ->type_name("NAME");
  all->add_option("--last", said->last, "Only the last COUNT of them")
      ->type_name("COUNT")
      ->check(at_least_one());
  all->add_flag("--json", said->json, "For programs: the reports as they are, with their numbers");
  end_help(*all, kPath,
           {"sluice deaths list sluice-reports --last 5",
            "sluice deaths list /var/lib/words.reports --stage parse/0",
            "sluice deaths list sluice-reports --json | jq -r '.cause' | sort | uniq -c"});
  all->callback([said] { list(*said); });
  CLI::App* one = add(*deaths, "show", "All about one report", said);
  one->add_option("number", said->number, "Its number in the list")
      ->required()
      ->type_name("NUMBER")
      ->check(at_least_one());
  end_help(*one, kPath,
           {"sluice deaths show sluice-reports 1", "sluice deaths show sluice-reports/deaths.jsonl 2",
            "sluice deaths show sluice-reports 1 | less"});
  one->callback([said] { show(*said); });
}

}  // namespace sluice::command
