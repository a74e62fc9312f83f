// SPDX-License-Identifier: Apache-2.0
#include "layout/executed_start.hpp"

#include "settings/settings_names.hpp"
#include "settings/settings_table.hpp"

namespace sluice::detail {

struct SaidSettings {
  static std::vector<SaidSetting> of(const Settings& settings) {
    std::vector<SaidSetting> said;
    for (const Settings::Assignment& each : settings.assignments_) {
      const Setting& setting = settings_table()[each.row];
      if (setting.key == "profile.file") continue;
      said.push_back({key_of(setting, each.stage_name), each.value, each.origin.layer});
    }
    return said;
  }
};

std::vector<SaidSetting> said_settings(const Settings& settings) {
  return SaidSettings::of(settings);
}

Settings settings_of(const std::vector<SaidSetting>& said) {
  Settings settings;
  for (const SaidSetting& each : said)
    settings.set(each.key, each.value, each.layer);
  return settings;
}

}  // namespace sluice::detail
