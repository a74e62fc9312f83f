// SPDX-License-Identifier: Apache-2.0
// `sluice config`: what the settings are, what they mean, and where their values come from.

#include "config.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/settings.hpp>

namespace sluice::command {
namespace {

Settings settled(const ConfigSaid& said) {
  Settings settings = Settings::from_environment();
  if (!said.profile.empty()) settings.set("profile", said.profile, Origin::command_line);
  for (const std::string& assignment : said.assignments)
    settings.set_assignment(assignment);
  return settings;
}

// A key, or the form of one that only stages have: what is no value of the pipeline as a whole is said of one.
std::string as_it_is_said(std::string_view key) {
  const std::vector<SettingValue> values = Settings{}.values();
  const bool of_the_pipeline = std::any_of(values.begin(), values.end(),
                                           [key](const SettingValue& value) { return value.key == key; });
  return (of_the_pipeline ? "" : "stage.<name>.") + std::string{key};
}

}  // namespace

void add_setting_options(CLI::App& command, ConfigSaid& said) {
  command
      .add_option("--profile", said.profile,
                  "Start from this profile: balanced, latency, throughput or shared")
      ->type_name("NAME")
      ->check(not_empty());
  command.add_option("--set", said.assignments, "Set a value; may be repeated")
      ->type_name("KEY=VALUE")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void add_config(CLI::App& program, std::vector<std::string> behind_dashes, int& status) {
  auto said = std::make_shared<ConfigSaid>();  // The callbacks own what they read.
  CLI::App* config = program.add_subcommand("config", "Show, explain and check settings");
  config->require_subcommand(1);
  end_help(
      *config, "",
      {"sluice config explain wait.strategy", "sluice config show --profile latency --set lane.slots=64K",
       "sluice config keys | grep '^wait'"});

  CLI::App* show = config->add_subcommand("show", "Print every value and where it comes from");
  show->add_option("--stage", said->stage, "As this stage has them")->type_name("NAME")->check(not_empty());
  add_setting_options(*show, *said);
  show->callback([said] { print_exactly(settled(*said).show(said->stage)); });

  CLI::App* explain = config->add_subcommand("explain", "Print all about one setting");
  explain->add_option("KEY", said->key, "A setting, such as lane.slots, or its variable")
      ->type_name("")
      ->required()
      ->check(not_empty());
  add_setting_options(*explain, *said);
  explain->callback([said] { print(settled(*said).explain(said->key)); });

  CLI::App* keys = config->add_subcommand("keys", "Print the name of every setting, a line each");
  keys->callback([] {
    for (const std::string_view key : setting_keys())
      print(as_it_is_said(key) + "\n");
  });

  CLI::App* reference = config->add_subcommand("reference", "Print the reference page, in Markdown");
  reference->callback([] { print_exactly(settings_reference()); });
  add_config_lint(*config, std::move(behind_dashes), status);
  add_config_diff(*config);
  end_help(*show, "",
           {"sluice config show", "sluice config show --profile latency --set lane.slots=64K",
            "sluice config show --set stage.parse.workers=4 --stage parse"});
  end_help(*explain, "",
           {"sluice config explain lane.slots", "sluice config explain SLUICE_WAIT_STRATEGY",
            "sluice config explain restart.budget --profile shared"});
  end_help(*keys, "",
           {"sluice config keys", "sluice config keys | grep '^log'",
            "sluice config keys | xargs -n 1 sluice config explain"});
  end_help(*reference, "",
           {"sluice config reference > settings.md", "sluice config reference | less",
            "sluice config reference | grep -A 5 '^## lane'"});
}

}  // namespace sluice::command
