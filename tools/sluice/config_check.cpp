// SPDX-License-Identifier: Apache-2.0
// `sluice config lint` and `sluice config diff`.

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <unistd.h>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/ipc/segment.hpp>
#include <sluice/pinning/cores.hpp>
#include <sluice/pinning/plan.hpp>
#include <sluice/printable.hpp>

#include "asked_program.hpp"
#include "config.hpp"
#include "config_lint.hpp"
#include "settings/settings_file.hpp"
#include "settings/settings_names.hpp"

namespace sluice::command {
namespace {

constexpr int kRefused = 1;
constexpr int kWarned = 3;

// Everything that is wrong with what is written, not only the first.
class Reading {
 public:
  Settings settings() {
    Settings settings = Settings::from_environment(good_variables_);
    for (const auto& [key, value] : assignments_)
      settings.set(key, value, Origin::command_line);
    return settings;
  }
  std::vector<LintFinding>& findings() { return findings_; }

  void environment() {
    for (char** variable = environ; *variable != nullptr; ++variable) {
      const char* one = *variable;
      if (!std::string_view{one}.starts_with("SLUICE_")) continue;
      if (attempt([&] { Settings::from_environment(std::span{&one, 1}); })) good_variables_.push_back(one);
    }
  }
  void file(const std::string& path) {
    if (path.empty()) return;
    bool good = true;
    attempt([&] {
      for (const detail::ProfileLine& line : detail::profile_lines(path)) {
        const std::string before = fmt::format("{}:{}: ", printable(path), line.number);
        good = attempt([&] { Settings{}.set(line.key, line.value, Origin::profile_file); }, before) && good;
      }
      if (good) assign("profile.file", path);
    });
  }
  void assign(const std::string& key, const std::string& value) {
    if (attempt([&] { Settings{}.set(key, value, Origin::command_line); }))
      assignments_.emplace_back(key, value);
  }
  void assign(const std::string& assignment) {
    const std::size_t equals = assignment.find('=');
    if (equals != std::string::npos && assignment.find_first_not_of(" \t") < equals)
      return assign(assignment.substr(0, equals), assignment.substr(equals + 1));
    attempt([&] { Settings{}.set_assignment(assignment); });
  }
  // A program that is asked has the same settings.
  void hand_down() const {
    for (const auto& [key, value] : assignments_) {
      const detail::Named named = detail::find_key(key);
      ::setenv(detail::variable_of(detail::settings_table()[named.row], named.stage).c_str(), value.c_str(),
               1);
    }
  }
  template <class Action>
  bool attempt(Action&& action, const std::string& before = {}) {
    try {
      action();
      return true;
    } catch (const Error& error) {
      findings_.push_back({.refused = true, .what = before + error.what(), .remedy = {}});
      return false;
    }
  }

 private:
  std::vector<const char*> good_variables_;
  std::vector<std::pair<std::string, std::string>> assignments_;
  std::vector<LintFinding> findings_;
};

// Its stages, and whether each worker gets a core of this machine, and the pipeline its memory; how much that is.
std::uint64_t ask(const std::vector<std::string>& program, Reading& reading) {
  constexpr std::chrono::seconds kLimit{10};
  std::uint64_t bytes = 0;
  reading.hand_down();
  reading.attempt([&] {
    const pinning::Topology topology = pinning::read_topology();
    const AskedProgram asked = ask_program(program, kLimit);
    for (const std::string& remark : asked.remarks)
      reading.findings().push_back({.what = remark, .remedy = {}});
    const pinning::PlanRequest request = pinning::with_cores(topology, asked.request);
    const pinning::Plan plan = pinning::plan(topology, request);
    for (const auto& [node, on_node] : plan.memory_bytes)
      bytes += on_node;
    // As a start does it.
    reading.attempt([&] {
      ipc::refuse_memory("create the segment of", program.front(), bytes,
                         "lower lane.bytes, lane.slots, state.bytes or the number of workers");
    });
    if (!plan.oversubscribed) return;
    reading.findings().push_back(
        {.what = "the workers are more than the cores that they may have: they take turns",
         .remedy = "`sluice plan` says more; lower the number of workers"});
  });
  return bytes;
}

std::string text_of(const LintFinding& finding) {
  std::string text = fmt::format("{}: {}", finding.refused ? "error" : "warning", printable(finding.what));
  if (!finding.remedy.empty()) text += fmt::format("; {}", finding.remedy);
  if (!finding.origin.empty()) text += fmt::format(" [{}]", printable(finding.origin));
  return text + "\n";
}

int lint(const ConfigSaid& said, const std::string& file, const std::vector<std::string>& program) {
  Reading reading;
  reading.environment();
  reading.file(file);
  if (!said.profile.empty()) reading.assign("profile", said.profile);
  for (const std::string& assignment : said.assignments)
    reading.assign(assignment);
  const Settings settings = reading.settings();
  std::uint64_t bytes = 0;
  if (!program.empty() && reading.findings().empty()) bytes = ask(program, reading);
  std::vector<LintFinding> found = reading.findings();
  for (LintFinding& finding : lint_findings(settings, machine_for(settings, bytes)))
    found.push_back(std::move(finding));
  for (const LintFinding& finding : found)
    print(text_of(finding));
  const auto errors =
      std::count_if(found.begin(), found.end(), [](const LintFinding& each) { return each.refused; });
  if (found.empty()) print("nothing to say against these settings\n");
  if (bytes != 0)
    print(fmt::format("the pipeline takes about {:.1f} MiB of memory\n",
                      static_cast<double>(bytes) / (1U << 20U)));
  return errors != 0 ? kRefused : found.empty() ? 0 : kWarned;
}

// A profile, by its name, or a file. What is neither may have been meant for one.
Settings settings_of(const std::string& text) {
  Settings settings;
  std::error_code none;  // As of a name that is too long for one.
  const bool is_file = text.find('/') != std::string::npos || std::filesystem::exists(text, none);
  try {
    settings.set(is_file ? "profile.file" : "profile", text, Origin::command_line);
  } catch (const Error& error) {
    if (is_file) throw;
    const std::string& why = error.parts().why;  // With the nearest name, if there is one.
    throw Error{
        {"read the settings of", printable(text),
         "there is no profile and no file of that name" + why.substr(std::min(why.find("; "), why.size())),
         "profiles are balanced, latency, throughput and shared; a file is named by its path"}};
  }
  return settings;
}

std::string difference(const std::string& one, const std::string& other) {
  constexpr std::array<std::string_view, 2> kOfTheSource{"profile", "profile.file"};
  std::map<std::string, std::pair<std::string, std::string>> rows;
  std::vector<std::string> order;
  const auto read = [&](const std::string& name, auto member) {
    for (const SettingValue& value : settings_of(name).values()) {
      if (rows.find(value.key) == rows.end()) order.push_back(value.key);
      rows[value.key].*member = value.value.empty() ? "none" : value.value;
    }
  };
  using Row = std::pair<std::string, std::string>;
  read(one, &Row::first);
  read(other, &Row::second);
  // What only one of them has for a stage the other has for all.
  std::vector<std::array<std::string, 3>> table{{"setting", printable(one), printable(other)}};
  for (const std::string& key : order) {
    const auto& [a, b] = rows[key];
    if (a == b || std::find(kOfTheSource.begin(), kOfTheSource.end(), key) != kOfTheSource.end()) continue;
    table.push_back({key, printable(a.empty() ? "-" : a), printable(b.empty() ? "-" : b)});
  }
  if (table.size() == 1) return "no setting differs\n";
  std::array<std::size_t, 2> width{};
  for (const auto& row : table) {
    for (std::size_t column = 0; column < width.size(); ++column)
      width[column] = std::max(width[column], row[column].size());
  }
  std::string text;
  for (const auto& row : table)
    text += fmt::format("{:{}}  {:{}}  {}\n", row[0], width[0], row[1], width[1], row[2]);
  return text;
}

}  // namespace

void add_config_lint(CLI::App& config, std::vector<std::string> behind_dashes, int& status) {
  struct Said : ConfigSaid {
    std::string file;
    std::vector<std::string> program;
  };
  auto said = std::make_shared<Said>();
  said->program = std::move(behind_dashes);
  CLI::App* command =
      config.add_subcommand("lint", "Tell what is wrong with settings, and what makes no sense together");
  command->formatter(detail::help_formatter("[-- PROGRAM ARGUMENTS...]"));
  command->add_option("FILE", said->file, "A profile file")->type_name("")->check(not_empty());
  add_setting_options(*command, *said);
  end_help(*command,
           "The environment counts, too. A program of Sluice behind -- is asked for its stages, whether one "
           "of their outputs leads nowhere, and whether this machine has a core for each worker.\n"
           "Status 0: nothing; 1: a start would refuse them; 3: warnings only.",
           {"sluice config lint market.conf", "sluice config lint --set outside.after=checkpoint",
            "sluice config lint market.conf -- build/market --input feed.gz"});
  command->callback([said, &status] { status = lint(*said, said->file, said->program); });
}

void add_config_diff(CLI::App& config) {
  auto sides = std::make_shared<std::array<std::string, 2>>();
  CLI::App* command =
      config.add_subcommand("diff", "Print what differs between two profiles or profile files");
  command->add_option("A", (*sides)[0], "One side")
      ->type_name("PROFILE|FILE")
      ->required()
      ->check(not_empty());
  command->add_option("B", (*sides)[1], "The other")
      ->type_name("PROFILE|FILE")
      ->required()
      ->check(not_empty());
  end_help(*command, "The environment does not count. A - stands for what only the other has, for a stage.",
           {"sluice config diff balanced latency", "sluice config diff shared market.conf",
            "sluice config diff yesterday.conf market.conf"});
  command->callback([sides] { print(difference((*sides)[0], (*sides)[1])); });
}

}  // namespace sluice::command
