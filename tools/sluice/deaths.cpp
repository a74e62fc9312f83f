// SPDX-License-Identifier: Apache-2.0
// `sluice deaths`: what a pipeline has reported of deaths, stalls and waits, in the order in which it happened.

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>
#include <sluice/detail/nearest.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>

#include "commands.hpp"
#include "frames.hpp"
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
std::string field(const JsonObject& report, const char* name) {
  return printable(report.text(name));
}

// The last word of each line: the message, or what else tells most; reports of each kind have members of their own.
std::string story_of(const JsonObject& report) {
  const std::string kind = report.text("report");
  if (kind == "waiting outside") return field(report, "outside");
  if (kind == "stall")
    return fmt::format("{} ms in one event, of {} ms", field(report, "own_time_ms"),
                       field(report, "deadline_ms"));
  if (kind == "observer refused")
    return fmt::format("process {} of user {}, {} so far", field(report, "pid"), field(report, "uid"),
                       field(report, "refused"));
  if (kind == "place") {
    const std::string error = field(report, "error");
    const std::string found = field(report, "found");
    const std::string what = found.empty() ? "memory on another node"
                                           : fmt::format("found on {} and not on {}, {}", found,
                                                         field(report, "units"), field(report, "did"));
    return error.empty() ? what : what + ": " + error;
  }
  const std::string message = field(report, "message");
  const std::string cause = field(report, "cause");
  if (!cause.empty() && !message.empty()) return cause + ": " + message;
  return cause.empty() ? message : cause;
}

// The columns of a list are as wide as what stands in them, within a bound.
class Columns {
 public:
  void widen_for(const JsonObject& report) {
    for (std::size_t i = 0; i < kNames.size(); ++i)
      widths_[i] = std::max(widths_[i], std::min(field(report, kNames[i]).size(), kWidest));
  }
  void print_heading() const {
    print_row("number", "time", {"pipeline", "worker", "report"}, "signal", "cause");
  }
  void print_report(std::size_t number, const JsonObject& report) const {
    const std::string signal = field(report, "signal");
    print_row(fmt::format("{}", number), field(report, "time"),
              {field(report, kNames[0]), field(report, kNames[1]), field(report, kNames[2])},
              signal.empty() || signal == "0" ? "-" : signal, story_of(report));
  }

 private:
  static constexpr std::array<const char*, 3> kNames{"pipeline", "worker", "report"};
  static constexpr std::size_t kWidest = 16;

  void print_row(std::string_view number, std::string_view time, const std::array<std::string, 3>& names,
                 std::string_view signal, std::string_view story) const {
    std::string row = fmt::format("{:>6}  {:<27} ", number, time);
    std::array<std::size_t, 6> fields{6, 35, 0, 0, 0, 0};  // Behind each.
    for (std::size_t i = 0; i < names.size(); ++i) {
      row += fmt::format(" {:<{}}", names[i], widths_[i]);
      fields[i + 2] = fields[i + 1] + (i == 0 ? 2 : 1) + widths_[i];
    }
    fields[5] = fields[4] + 7;
    print(fmt::format("{} {:>6}  {}\n", row, signal, story), fields);
  }

  std::array<std::size_t, 3> widths_{8, 6, 6};
};

// Behind what is there, so that it is the last thing seen.
void tell_of_the_rest(const Reports& reports) {
  std::fflush(stdout);
  for (const std::string& torn : reports.torn()) {
    std::fprintf(stderr, "remark: a report is cut off: %s; its writer has died or its disk was full\n",
                 torn.c_str());
  }
  if (reports.unreadable() == 0) return;
  std::string which;
  for (const std::string& each : reports.first_unreadable())
    which.append(which.empty() ? "" : "; ").append(each);
  const std::size_t more = reports.unreadable() - reports.first_unreadable().size();
  if (more != 0) which.append(fmt::format("; and {} more", detail::counted(more, "line")));
  throw Error{{"read all of", "the reports", which, "name files that a pipeline wrote"}};
}

// What the reports are of, for whoever has asked for something else.
class Subjects {
 public:
  void note(const JsonObject& report) {
    if (const std::string pipeline = report.text("pipeline"); !pipeline.empty()) pipelines_.insert(pipeline);
    const std::string worker = report.text("worker");
    if (!worker.empty()) stages_.insert(worker.substr(0, worker.find('/')));
  }
  // An empty list may be the answer, and may be a letter too few.
  void tell_of_none(const DeathsSaid& said) const {
    std::fflush(stdout);
    if (!said.pipeline.empty()) tell("pipeline", said.pipeline, pipelines_);
    if (!said.stage.empty()) tell("stage", said.stage.substr(0, said.stage.find('/')), stages_);
  }

 private:
  static void tell(const char* kind, const std::string& asked, const std::set<std::string>& there) {
    if (there.empty() || there.contains(asked)) return;
    const std::string meant = detail::nearest(asked, std::vector<std::string>(there.begin(), there.end()));
    std::fprintf(stderr, "remark: no report is of a %s '%s'%s\n", kind, printable(asked).c_str(),
                 meant.empty() ? "" : fmt::format(" (did you mean {}?)", printable(meant)).c_str());
  }

  std::set<std::string> pipelines_;
  std::set<std::string> stages_;
};

std::string json_of(std::size_t number, const JsonObject& report) {
  std::string json = fmt::format("{{\"number\":{}", number);
  for (const auto& [name, value] : report.members())
    json.append(",").append(json_text(name)).append(":").append(value.json);
  return json + "}\n";
}

void list(const DeathsSaid& said) {
  Columns columns;
  Subjects subjects;
  const Reports reports{said.path, [&](const JsonObject& report) {
                          subjects.note(report);
                          const bool wanted = is_of(report, said.pipeline, said.stage);
                          if (wanted) columns.widen_for(report);
                          return wanted;
                        }};
  if (!said.json) columns.print_heading();
  const std::vector<std::size_t>& shown = reports.wanted();
  const std::size_t first = said.last == 0 || said.last >= shown.size() ? 0 : shown.size() - said.last;
  for (std::size_t i = first; i < shown.size(); ++i) {
    const JsonObject report = reports.read(shown[i]);
    said.json ? print_exactly(json_of(shown[i], report)) : columns.print_report(shown[i], report);
  }
  if (shown.empty()) subjects.tell_of_none(said);
  tell_of_the_rest(reports);
}

void show(const DeathsSaid& said) {
  const Reports reports{said.path, [](const JsonObject&) { return false; }};
  if (said.number == 0 || said.number > reports.count()) {
    throw Error{{"show report", std::to_string(said.number),
                 fmt::format("there {} {} in {}", reports.count() == 1 ? "is" : "are", reports.count(),
                             printable(said.path)),
                 "name the number that `sluice deaths list` gives it"}};
  }
  const JsonObject report = reports.read(said.number);
  for (const auto& [name, value] : report.members()) {
    if (value.kind != Kind::list) {
      print(fmt::format("{:<12} {}\n", printable(name), printable(value.text)));
      continue;
    }
    print(printable(name) + "\n");
    for (const std::string& item : without_engine(value.items))
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
            "sluice deaths list reports --json | jq -r '.cause' | sort | uniq -c"});
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
