// SPDX-License-Identifier: Apache-2.0
// Settings for people: the table of values, the account of one setting, and the part of a program's --help.

#include <algorithm>
#include <array>
#include <vector>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/settings.hpp>

#include "settings/settings_names.hpp"
#include "settings/settings_table.hpp"
#include "settings/settings_value.hpp"

namespace sluice {

using namespace detail;

namespace {

constexpr std::size_t kWidth = 80;
constexpr std::string_view kAnyStage = "<name>";

using Row = std::array<std::string, 3>;

// Left-aligned columns, as wide as their widest cell; the last one is not padded, so that no line ends in
// blanks.
std::string aligned(const std::vector<Row>& rows) {
  std::array<std::size_t, 2> widths{};
  for (const Row& row : rows) {
    for (std::size_t column = 0; column < widths.size(); ++column) {
      widths[column] = std::max(widths[column], row[column].size());
    }
  }
  std::string text;
  for (const Row& row : rows)
    text += fmt::format("{:<{}}  {:<{}}  {}\n", row[0], widths[0], row[1], widths[1], row[2]);
  return text;
}

// The words of `text` in lines of at most kWidth characters, each after `indent` blanks. The code marks of
// the reference page are left out: a terminal shows them as noise.
std::string wrapped(std::string_view text, std::size_t indent) {
  std::string lines;
  std::string line(indent, ' ');
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    std::string word{text.substr(0, end)};
    std::erase(word, '`');
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.size() > indent && line.size() + 1 + word.size() > kWidth) {
      lines += line + "\n";
      line.assign(indent, ' ');
    }
    if (line.size() > indent) line += ' ';
    line += word;
  }
  return lines + line + "\n";
}

std::string_view first_sentence(std::string_view text) {
  return text.substr(0, std::min(text.find(". "), text.size() - 1) + 1);
}

std::string shown(std::string_view value) {
  return value.empty() ? "(none)" : std::string{value};
}

std::string_view scope_text(Scope scope) {
  switch (scope) {
    case Scope::pipeline:
      return "for the whole pipeline";
    case Scope::every_stage:
      return "for all stages or one";
    case Scope::single_stage:
      break;
  }
  return "for one stage";
}

// "4096; latency 1024, throughput 65536, shared 512"
std::string values_of_profiles(const Setting& setting) {
  std::string others;
  for (const std::string_view profile : {"latency", "throughput", "shared"}) {
    const std::string_view value = value_in_profile(setting, profile);
    if (value == setting.fallback) continue;
    others += fmt::format("{}{} {}", others.empty() ? "; " : ", ", profile, value);
  }
  return shown(setting.fallback) + others;
}

std::string with_stage_form(const Setting& setting, std::string (*name)(const Setting&, std::string_view)) {
  if (setting.scope == Scope::pipeline) return name(setting, {});
  if (setting.scope == Scope::single_stage) return name(setting, kAnyStage);
  return fmt::format("{}, {}", name(setting, {}), name(setting, kAnyStage));
}

std::string facts(const Setting& setting) {
  const std::string_view stage = setting.scope == Scope::single_stage ? kAnyStage : "";
  std::string text;
  const auto fact = [&](std::string_view what, std::string_view is) {
    text += fmt::format("  {:<14}{}\n", what, is);
  };
  fact("default", values_of_profiles(setting));
  fact("allowed", allowed_values(setting));
  fact("key", with_stage_form(setting, key_of));
  fact("variable", with_stage_form(setting, variable_of));
  fact("command line", fmt::format("--set {}={}", key_of(setting, stage), setting.example));
  fact("stability", setting.stability == Stability::stable ? "stable" : "experimental");
  return text;
}

Named find_any(std::string_view name) {
  if (name.starts_with("SLUICE_")) return find_variable(name);
  // A key that only stages have is explained without one, and with the place-holder that the texts use.
  if (const std::size_t row = row_of(name); row != kNoRow) return {.row = row};
  const std::string place_holder = fmt::format("stage.{}.", kAnyStage);
  if (name.starts_with(place_holder)) return find_any(name.substr(place_holder.size()));
  return find_key(name);
}

}  // namespace

std::string Settings::show(std::string_view stage) const {
  std::vector<Row> rows = {{"setting", "value", "from"}};
  for (std::size_t row = 0; row < settings_table().size(); ++row) {
    const Setting& setting = settings_table()[row];
    const bool of_stage = setting.scope != Scope::pipeline;
    const Resolved holds = resolve(row, of_stage ? fold_stage(stage) : std::string{});
    const bool any_stage = setting.scope == Scope::single_stage && stage.empty();
    rows.push_back({key_of(setting, any_stage ? kAnyStage : ""), shown(holds.value), holds.origin.text()});
  }
  if (stage.empty()) {
    for (const Assignment* each : stage_assignments()) {
      rows.push_back(
          {key_of(settings_table()[each->row], each->stage_name), each->value, each->origin.text()});
    }
  }
  return aligned(rows);
}

std::vector<SettingValue> Settings::values() const {
  std::vector<SettingValue> values;
  for (std::size_t row = 0; row < settings_table().size(); ++row) {
    const Setting& setting = settings_table()[row];
    if (setting.scope == Scope::single_stage) continue;
    Resolved holds = resolve(row, {});
    values.push_back({key_of(setting, {}), std::move(holds.value), holds.origin.text()});
  }
  for (const Assignment* each : stage_assignments()) {
    values.push_back(
        {key_of(settings_table()[each->row], each->stage_name), each->value, each->origin.text()});
  }
  return values;
}

std::string Settings::explain(std::string_view key) const {
  const Named named = find_any(key);
  if (!named.ok()) {
    throw Error{{.tried = "explain", .object = std::string{key}, .why = named.fault, .remedy = named.remedy}};
  }
  const Setting& setting = settings_table()[named.row];
  std::string text =
      fmt::format("{}: {}, {}\n\n", setting.key, name_of(setting.type), scope_text(setting.scope));
  text += wrapped(setting.meaning, 2);
  text += wrapped(setting.trade_off, 2) + "\n";
  const std::string folded = fold_stage(named.stage);
  const Resolved holds = resolve(named.row, folded);
  text += fmt::format("  {:<14}{} ({})\n", "now", shown(holds.value), holds.origin.text());
  for (const Assignment& each : assignments_) {
    if (each.row != named.row || each.origin == holds.origin) continue;
    text += fmt::format("  {:<14}{} = {} ({})\n", "also said", key_of(setting, each.stage_name),
                        shown(each.value), each.origin.text());
  }
  return text + facts(setting);
}

std::vector<std::string_view> setting_keys() {
  std::vector<std::string_view> keys;
  for (const Setting& setting : settings_table())
    keys.push_back(setting.key);
  return keys;
}

std::string settings_help() {
  std::string text = "Settings, with their defaults:\n";
  for (const Setting& setting : settings_table()) {
    const std::string_view stage = setting.scope == Scope::single_stage ? kAnyStage : "";
    text += fmt::format("  {} = {}\n", key_of(setting, stage), shown(setting.fallback));
    text += wrapped(first_sentence(setting.meaning), 6);
  }
  text +=
      "\nWays to set one, the stronger first:\n"
      "  --set lane.slots=64K               for one run\n"
      "  SLUICE_LANE_SLOTS=64K              in the environment\n"
      "  lane.slots = 64K                   in the file that SLUICE_PROFILE_FILE names\n"
      "  SLUICE_PROFILE=latency             a profile: many defaults at once\n"
      "For the stage \"parse\" alone, which beats all of the above:\n"
      "  --set stage.parse.lane.slots=64K   SLUICE_STAGE_PARSE_LANE_SLOTS=64K\n"
      "All about a setting: sluice config explain lane.slots\n";
  return text;
}

}  // namespace sluice
