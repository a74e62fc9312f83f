// SPDX-License-Identifier: Apache-2.0
// What the commands of `sluice config` share.
#pragma once

#include <string>
#include <vector>

#include <sluice/settings.hpp>

#include "commands.hpp"

namespace sluice::command {

// What the user said about the settings on the command line.
struct ConfigSaid {
  std::string stage;
  std::string profile;
  std::vector<std::string> assignments;
  std::string key;
};

void add_setting_options(CLI::App& command, ConfigSaid& said);

// `lint`, whose exit status says what was found, and whose program and arguments are what stands behind "--"; and `diff`.
void add_config_lint(CLI::App& config, std::vector<std::string> behind_dashes, int& status);
void add_config_diff(CLI::App& config);

}  // namespace sluice::command
