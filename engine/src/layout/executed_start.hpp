// SPDX-License-Identifier: Apache-2.0
// What a replacement that is executed cannot make again by itself: settings as they were resolved at the start, how many workers
// each node got, and the shape that its own pipeline has to have.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <sluice/settings.hpp>

#include "layout/resolved_settings.hpp"

namespace sluice::detail {

// A value of the Settings that an engine was made with.
struct SaidSetting {
  std::string key;  // As Settings::set() takes it.
  std::string value;
  Origin layer = Origin::api;
};

// Settings to what was said for them, and back. What a profile file says is in the former, and it is not read again.
std::vector<SaidSetting> said_settings(const Settings& settings);
Settings settings_of(const std::vector<SaidSetting>& said);

struct ExecutedStart {
  std::vector<SaidSetting> settings;
  std::vector<std::uint64_t> workers;  // Of each node.
  std::string shape;                   // shape_of().
};

}  // namespace sluice::detail
