// SPDX-License-Identifier: Apache-2.0
// The names of settings: dotted keys, environment variables, and the nearest name to one that does not exist.
// Private to the engine; pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <sluice/detail/nearest.hpp>

#include "settings/settings_table.hpp"

namespace sluice::detail {

// What a name stands for, or why it stands for nothing.
struct Named {
  std::size_t row = kNoRow;
  std::string stage = {};  // As it was written; empty for all stages.
  std::string fault = {};
  std::string remedy = {};

  bool ok() const noexcept { return fault.empty(); }
};

// "lane.slots", "stage.parse.lane.slots".
Named find_key(std::string_view key);

// "SLUICE_LANE_SLOTS", "SLUICE_STAGE_PARSE_LANE_SLOTS".
Named find_variable(std::string_view variable);

// "stage.parse.lane.slots" or, without a stage, "lane.slots".
std::string key_of(const Setting& setting, std::string_view stage);
std::string variable_of(const Setting& setting, std::string_view stage);

// One spelling for all the spellings of a stage that a variable's name cannot tell apart: "Parse-One",
// "parse_one".
std::string fold_stage(std::string_view stage);

}  // namespace sluice::detail
