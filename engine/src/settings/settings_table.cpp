// SPDX-License-Identifier: Apache-2.0
// The table of all settings, in the order in which people read it.

#include "settings/settings_table.hpp"

#include <algorithm>
#include <array>

#include "settings/care_settings.hpp"
#include "settings/checkpoint_settings.hpp"
#include "settings/flow_settings.hpp"
#include "settings/place_settings.hpp"

namespace sluice::detail {
namespace {

constexpr auto kTable = [] {
  std::array<Setting,
             kFlowSettings.size() + kCheckpointSettings.size() + kPlaceSettings.size() + kCareSettings.size()>
      table{};
  const auto checkpoints = std::ranges::copy(kFlowSettings, table.begin()).out;
  const auto places = std::ranges::copy(kCheckpointSettings, checkpoints).out;
  const auto care = std::ranges::copy(kPlaceSettings, places).out;
  std::ranges::copy(kCareSettings, care);
  return table;
}();

}  // namespace

std::span<const Setting> settings_table() noexcept {
  return kTable;
}

std::size_t row_of(std::string_view key) noexcept {
  const auto* found = std::ranges::find(kTable, key, &Setting::key);
  return found == kTable.end() ? kNoRow : static_cast<std::size_t>(found - kTable.begin());
}

std::string_view value_in_profile(const Setting& setting, std::string_view profile) noexcept {
  std::string_view value;
  if (profile == "latency") value = setting.latency;
  if (profile == "throughput") value = setting.throughput;
  if (profile == "shared") value = setting.shared;
  return value.empty() ? setting.fallback : value;
}

}  // namespace sluice::detail
