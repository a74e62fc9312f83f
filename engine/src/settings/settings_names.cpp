// SPDX-License-Identifier: Apache-2.0
// The names of settings, and the search for the nearest one.

#include "settings/settings_names.hpp"

#include <algorithm>
#include <vector>

#include <fmt/format.h>

namespace sluice::detail {
namespace {

constexpr std::string_view kKeyPrefix = "stage.";
constexpr std::string_view kVariablePrefix = "SLUICE_";
constexpr std::string_view kStageVariablePrefix = "SLUICE_STAGE_";
constexpr std::string_view kHowToList = "`sluice config keys` lists every setting";

constexpr bool is_lower(char character) {
  return character >= 'a' && character <= 'z';
}
constexpr bool is_upper(char character) {
  return character >= 'A' && character <= 'Z';
}
constexpr bool is_digit(char character) {
  return character >= '0' && character <= '9';
}

bool is_stage_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char character) {
    return is_lower(character) || is_upper(character) || is_digit(character) || character == '-' ||
           character == '_';
  });
}

// "lane.slots" as it stands in a variable's name: "LANE_SLOTS".
std::string variable_word(std::string_view text) {
  std::string word{text};
  std::ranges::transform(word, word.begin(), [](char character) {
    if (is_lower(character)) return static_cast<char>(character - 'a' + 'A');
    return is_upper(character) || is_digit(character) ? character : '_';
  });
  return word;
}

std::string question(std::string_view name) {
  return name.empty() ? std::string{kHowToList} : fmt::format("did you mean {}?", name);
}

Named unknown(std::string_view nearest_name) {
  return {.fault = "there is no such setting", .remedy = question(nearest_name)};
}

// Refuses what the table does not allow: the setting of the pipeline for one stage, and the other way round.
Named scoped(std::size_t row, std::string_view stage, bool as_variable) {
  const Setting& setting = settings_table()[row];
  const auto name = [&](std::string_view of_stage) {
    return as_variable ? variable_of(setting, of_stage) : key_of(setting, of_stage);
  };
  if (!stage.empty() && setting.scope == Scope::pipeline) {
    return {.fault = fmt::format("{} holds for the whole pipeline, not for one stage", setting.key),
            .remedy = fmt::format("write {}", name({}))};
  }
  if (stage.empty() && setting.scope == Scope::single_stage) {
    return {.fault = fmt::format("{} are said of one stage", setting.key),
            .remedy = fmt::format("write {}", name("<name>"))};
  }
  return {.row = row, .stage = std::string{stage}};
}

// The nearest name of a setting to one without a stage.
std::string nearest_name(std::string_view name, bool as_variable) {
  std::vector<std::string> candidates;
  for (const Setting& setting : settings_table()) {
    candidates.push_back(as_variable ? variable_of(setting, {}) : std::string{setting.key});
  }
  std::string near = nearest(name, candidates);
  if (near.empty()) return near;
  const auto row = static_cast<std::size_t>(std::ranges::find(candidates, near) - candidates.begin());
  const Setting& setting = settings_table()[row];
  const std::string_view stage = setting.scope == Scope::single_stage ? "<name>" : "";
  return as_variable ? variable_of(setting, stage) : key_of(setting, stage);
}

// Which setting's word the end of `rest` spells, after a stage's name and a '_'. Of several the longest,
// which leaves the shortest stage name.
std::size_t row_at_end(std::string_view rest, std::size_t& word_size) {
  std::size_t row = kNoRow;
  word_size = 0;
  for (std::size_t candidate = 0; candidate < settings_table().size(); ++candidate) {
    const std::string word = fmt::format("_{}", variable_word(settings_table()[candidate].key));
    if (rest.size() <= word.size() || !rest.ends_with(word) || word.size() <= word_size) continue;
    row = candidate;
    word_size = word.size();
  }
  return row;
}

// The nearest variable of a stage: where its name ends and the setting begins is unknown, so every '_' is
// tried.
std::string nearest_stage_variable(std::string_view rest) {
  std::string best;
  std::size_t best_distance = tolerance(rest) + 1;
  for (std::size_t cut = rest.find('_', 1); cut != std::string_view::npos; cut = rest.find('_', cut + 1)) {
    const std::string_view word = rest.substr(cut + 1);
    for (const Setting& setting : settings_table()) {
      if (setting.scope == Scope::pipeline) continue;
      const std::string meant = variable_word(setting.key);
      if (!may_be_within(tolerance(word), word, meant)) continue;
      const std::size_t apart = distance(word, meant);
      if (apart >= best_distance || apart > tolerance(word)) continue;
      best_distance = apart;
      best = fmt::format("{}{}_{}", kStageVariablePrefix, rest.substr(0, cut), variable_word(setting.key));
    }
  }
  return best;
}

Named find_stage_key(std::string_view rest) {
  const std::size_t dot = rest.find('.');
  const std::string_view stage = rest.substr(0, dot);
  if (dot == std::string_view::npos || dot + 1 == rest.size() || !is_stage_name(stage)) {
    return {.fault = "a stage's setting is written stage.<name>.<key>, its name in letters, digits, - and _",
            .remedy = "for example stage.parse.lane.slots"};
  }
  const std::string_view key = rest.substr(dot + 1);
  if (const std::size_t row = row_of(key); row != kNoRow) return scoped(row, stage, false);
  std::vector<std::string> candidates;
  for (const Setting& setting : settings_table()) {
    if (setting.scope != Scope::pipeline) candidates.emplace_back(setting.key);
  }
  const std::string near = nearest(key, candidates);
  return unknown(near.empty() ? near : fmt::format("{}{}.{}", kKeyPrefix, stage, near));
}

}  // namespace

Named find_key(std::string_view key) {
  if (key.starts_with(kKeyPrefix)) return find_stage_key(key.substr(kKeyPrefix.size()));
  if (const std::size_t row = row_of(key); row != kNoRow) return scoped(row, {}, false);
  if (key.starts_with(kVariablePrefix)) {
    const Named variable = find_variable(key);
    if (variable.ok()) return unknown(key_of(settings_table()[variable.row], variable.stage));
  }
  if (key == "observe.http") {
    return {.fault = "there is no such setting",
            .remedy = "the page and the metrics are served beside it: sluice serve --http ADDRESS"};
  }
  return unknown(nearest_name(key, false));
}

Named find_variable(std::string_view variable) {
  if (variable.starts_with(kStageVariablePrefix)) {
    const std::string_view rest = variable.substr(kStageVariablePrefix.size());
    std::size_t word_size = 0;
    const std::size_t row = row_at_end(rest, word_size);
    // A variable cannot spell capitals or '-'; small letters are how most stages are written.
    if (row != kNoRow) return scoped(row, fold_stage(rest.substr(0, rest.size() - word_size)), true);
    return unknown(nearest_stage_variable(rest));
  }
  for (std::size_t row = 0; row < settings_table().size(); ++row) {
    if (variable == variable_of(settings_table()[row], {})) return scoped(row, {}, true);
  }
  return unknown(nearest_name(variable, true));
}

std::string key_of(const Setting& setting, std::string_view stage) {
  return stage.empty() ? std::string{setting.key} : fmt::format("{}{}.{}", kKeyPrefix, stage, setting.key);
}

std::string variable_of(const Setting& setting, std::string_view stage) {
  const std::string word = variable_word(setting.key);
  if (stage.empty()) return fmt::format("{}{}", kVariablePrefix, word);
  const std::string name = stage == "<name>" ? "<NAME>" : variable_word(stage);
  return fmt::format("{}{}_{}", kStageVariablePrefix, name, word);
}

std::string fold_stage(std::string_view stage) {
  std::string folded{stage};
  std::ranges::transform(folded, folded.begin(), [](char character) {
    if (is_upper(character)) return static_cast<char>(character - 'A' + 'a');
    return is_lower(character) || is_digit(character) ? character : '_';
  });
  return folded;
}

}  // namespace sluice::detail
