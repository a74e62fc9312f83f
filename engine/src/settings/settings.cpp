// SPDX-License-Identifier: Apache-2.0
// The ladder of settings: assignments in layers, the strongest of which holds.
//
// Only what was said is kept, as a list of assignments; defaults and the profile's values are looked up in
// the table when a value is asked for. So the layers cannot disagree about which profile holds.

#include <algorithm>
#include <stdexcept>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sluice/detail/injected_variables.hpp>
#include <sluice/error.hpp>
#include <sluice/pinning/request.hpp>
#include <sluice/settings.hpp>
#include <sluice/units.hpp>

#include "settings/settings_file.hpp"
#include "settings/settings_names.hpp"
#include "settings/settings_table.hpp"
#include "settings/settings_value.hpp"

namespace sluice {

using namespace detail;

namespace {

constexpr std::string_view kVariablePrefix = "SLUICE_";
constexpr std::string_view kProfile = "profile";
constexpr std::string_view kProfileFile = "profile.file";

[[noreturn]] void refuse(std::string_view name, std::string_view value, const ValueOrigin& origin,
                         std::string why, std::string remedy) {
  throw Error{{.tried = "set",
               .object = fmt::format("{} to \"{}\" ({})", name, value, origin.text()),
               .why = std::move(why),
               .remedy = std::move(remedy)}};
}

// The row that a lookup asks for. Asking for what is not there is a bug, never a matter of input.
std::size_t looked_up(std::string_view key, std::string_view stage) {
  const std::size_t row = row_of(key);
  if (row == kNoRow) throw std::logic_error{fmt::format("sluice: '{}' is not in the table of settings", key)};
  const Scope scope = settings_table()[row].scope;
  if (stage.empty() && scope == Scope::single_stage) {
    throw std::logic_error{fmt::format("sluice: '{}' was looked up without a stage", key)};
  }
  if (!stage.empty() && scope == Scope::pipeline) {
    throw std::logic_error{fmt::format("sluice: '{}' is no setting of a stage", key)};
  }
  return row;
}

void expect_type(std::string_view key, SettingType type, bool can_take_auto) {
  const std::size_t row = row_of(key);
  if (row == kNoRow) return;  // The lookup itself reports it.
  const Setting& setting = settings_table()[row];
  if (setting.type != type) {
    throw std::logic_error{
        fmt::format("sluice: '{}' is no {} but a {}", key, name_of(type), name_of(setting.type))};
  }
  if ((setting.may_be_auto || setting.may_be_off) && !can_take_auto) {
    throw std::logic_error{fmt::format("sluice: '{}' may be {}", key, setting.may_be_off ? "off" : "auto")};
  }
}

// FNV-1a with 64 bits. Source: Fowler, Noll, Vo, Eastlake, "The FNV Non-Cryptographic Hash Algorithm".
class Fnv {
 public:
  void add(std::string_view text) {
    for (const char character : text)
      mix(static_cast<unsigned char>(character));
    mix(0);  // Ends the text, so that "ab" and "c" differ from "a" and "bc".
  }

  std::uint64_t value() const noexcept { return value_; }

 private:
  void mix(unsigned char byte) { value_ = (value_ ^ byte) * 0x100000001b3U; }

  std::uint64_t value_ = 0xcbf29ce484222325U;
};

}  // namespace

std::string_view name_of(Origin origin) noexcept {
  switch (origin) {
    case Origin::fallback:
      return "default";
    case Origin::program:
      return "program";
    case Origin::profile:
      return "profile";
    case Origin::profile_file:
      return "profile file";
    case Origin::environment:
      return "environment";
    case Origin::api:
      return "API";
    case Origin::command_line:
      break;
  }
  return "command line";
}

std::string ValueOrigin::text() const {
  return detail.empty() ? std::string{name_of(layer)} : fmt::format("{} {}", name_of(layer), detail);
}

Settings Settings::from_environment() {
  std::size_t variables = 0;
  while (environ != nullptr && environ[variables] != nullptr)
    ++variables;
  return from_environment(std::span<const char* const>{environ, variables});
}

Settings Settings::from_environment(std::span<const char* const> variables) {
  Settings settings;
  for (const char* variable : variables) {
    if (variable == nullptr) break;
    const std::string_view text = variable;
    const std::string_view name = text.substr(0, text.find('='));
    if (name.size() == text.size() || !name.starts_with(kVariablePrefix)) continue;
    const std::string_view value = text.substr(name.size() + 1);
    const ValueOrigin origin{.layer = Origin::environment, .detail = std::string{name}};
    const Named named = find_variable(name);
    if (!named.ok() && is_injected(name, value)) continue;
    if (!named.ok())
      refuse(name, value, {.layer = Origin::environment, .detail = {}}, named.fault, named.remedy);
    settings.assign(named.row, named.stage, value, origin);
  }
  return settings;
}

void Settings::set(std::string_view key, std::string_view value, Origin origin) {
  if (origin < Origin::profile_file && origin != Origin::program)
    throw std::logic_error{"sluice: defaults and profiles belong to the table"};
  const Named named = find_key(key);
  if (!named.ok()) refuse(key, value, {.layer = origin, .detail = {}}, named.fault, named.remedy);
  const std::string_view named_key = settings_table()[named.row].key;
  if (origin == Origin::program && (named_key == kProfile || named_key == kProfileFile)) {
    refuse(key, value, {.layer = origin, .detail = {}}, "which profile holds is for the user to say",
           "give defaults to the settings themselves");
  }
  assign(named.row, named.stage, value, {.layer = origin, .detail = {}});
}

void Settings::set_assignment(std::string_view assignment, Origin origin) {
  const std::size_t equals = assignment.find('=');
  if (equals == std::string_view::npos || trimmed(assignment.substr(0, equals)).empty()) {
    throw Error{{.tried = "read the setting",
                 .object = fmt::format("\"{}\" ({})", assignment, name_of(origin)),
                 .why = "it is not of the form key=value",
                 .remedy = "for example lane.slots=64K"}};
  }
  set(trimmed(assignment.substr(0, equals)), assignment.substr(equals + 1), origin);
}

void Settings::assign(std::size_t row, std::string_view stage, std::string_view value, ValueOrigin origin) {
  const Setting& setting = settings_table()[row];
  value = trimmed(value);
  CheckedValue checked = check_value(setting, value);
  if (!checked.ok()) {
    // A variable's name says in which words the user wrote the key; everywhere else it is the key itself.
    const std::string key = key_of(setting, stage);
    refuse(key, value, origin, std::move(checked.fault),
           fmt::format("allowed: {}; for example {}={}", allowed_values(setting), key, setting.example));
  }
  Assignment assignment{.row = row,
                        .stage = fold_stage(stage),
                        .stage_name = std::string{stage},
                        .value = std::move(checked.canonical),
                        .origin = std::move(origin)};
  Settings next = *this;
  std::erase_if(next.assignments_, [&](const Assignment& other) {
    return other.row == row && other.stage == assignment.stage &&
           other.origin.layer == assignment.origin.layer;
  });
  const Origin layer = assignment.origin.layer;
  next.assignments_.push_back(std::move(assignment));
  // A weaker layer's file is not read at all: a stronger one has named another already.
  if (setting.key == kProfileFile && next.origin_of(kProfileFile).layer == layer) next.read_profile_file();
  *this = std::move(next);
}

void Settings::read_profile_file() {
  std::erase_if(assignments_,
                [](const Assignment& each) { return each.origin.layer == Origin::profile_file; });
  const std::string path = text(kProfileFile);
  if (path.empty()) return;
  for (const ProfileLine& line : profile_lines(path)) {
    ValueOrigin origin{.layer = Origin::profile_file, .detail = fmt::format("{}:{}", path, line.number)};
    const Named named = find_key(line.key);
    if (!named.ok()) refuse(line.key, line.value, origin, named.fault, named.remedy);
    if (settings_table()[named.row].key == kProfileFile) {
      refuse(line.key, line.value, origin, "a profile file cannot name another",
             "put the settings into one file");
    }
    const std::string folded = fold_stage(named.stage);
    for (const Assignment& earlier : assignments_) {
      if (earlier.origin.layer != Origin::profile_file || earlier.row != named.row || earlier.stage != folded)
        continue;
      refuse(line.key, line.value, origin, fmt::format("{} has set it already", earlier.origin.detail),
             "remove one of the two lines");
    }
    assign(named.row, named.stage, line.value, std::move(origin));
  }
}

Settings Settings::above(const Settings& weaker) const {
  Settings both = *this;
  for (const Assignment& each : weaker.assignments_) {
    const bool known = std::ranges::any_of(assignments_, [&](const Assignment& own) {
      return own.row == each.row && own.stage == each.stage && own.origin.layer == each.origin.layer;
    });
    if (!known) both.assignments_.push_back(each);
  }
  return both;
}

void Settings::check_stages(std::span<const std::string> stages) const {
  std::vector<std::string> folded;
  for (const std::string& stage : stages) {
    const auto twin = std::ranges::find(folded, fold_stage(stage));
    if (twin != folded.end()) {
      throw Error{{.tried = "tell apart",
                   .object = fmt::format("the settings of stages '{}' and '{}'",
                                         stages[static_cast<std::size_t>(twin - folded.begin())], stage),
                   .why = "their names differ only in case, '-' and '_', and give the same variables",
                   .remedy = "rename one of them"}};
    }
    folded.push_back(fold_stage(stage));
  }
  for (const Assignment& each : assignments_) {
    if (each.stage.empty() || std::ranges::find(folded, each.stage) != folded.end()) continue;
    const std::string near = nearest(each.stage, stages);
    refuse(key_of(settings_table()[each.row], each.stage_name), each.value, each.origin,
           fmt::format("the pipeline has no stage '{}'", each.stage_name),
           near.empty() ? fmt::format("its stages: {}", fmt::join(stages, ", "))
                        : fmt::format("did you mean {}?", near));
  }
}

const Settings::Assignment* Settings::strongest(std::size_t row, std::string_view folded_stage) const {
  const Assignment* best = nullptr;
  for (const Assignment& each : assignments_) {
    if (each.row != row || each.stage != folded_stage) continue;
    if (best == nullptr || each.origin.layer > best->origin.layer) best = &each;
  }
  return best;
}

Settings::Resolved Settings::resolve(std::size_t row, std::string_view folded_stage) const {
  const auto was_said = [](const Assignment* each) {
    return each != nullptr && each->origin.layer != Origin::program;
  };
  const Assignment* of_stage = folded_stage.empty() ? nullptr : strongest(row, folded_stage);
  const Assignment* of_all = strongest(row, {});
  const Assignment* holds =
      of_stage == nullptr || (was_said(of_all) && !was_said(of_stage)) ? of_all : of_stage;
  if (was_said(holds)) return {.value = holds->value, .origin = holds->origin};
  const Setting& setting = settings_table()[row];
  if (setting.key == kProfile) return {.value = std::string{setting.fallback}, .origin = {}};
  const std::string profile = resolve(row_of(kProfile), {}).value;
  const std::string_view value = value_in_profile(setting, profile);
  if (value != setting.fallback)
    return {.value = std::string{value}, .origin = {.layer = Origin::profile, .detail = profile}};
  if (holds != nullptr) return {.value = holds->value, .origin = holds->origin};
  return {.value = std::string{value}, .origin = {}};
}

std::string Settings::value(std::string_view key, std::string_view stage) const {
  return resolve(looked_up(key, stage), fold_stage(stage)).value;
}

ValueOrigin Settings::origin_of(std::string_view key, std::string_view stage) const {
  return resolve(looked_up(key, stage), fold_stage(stage)).origin;
}

std::uint64_t Settings::count(std::string_view key, std::string_view stage) const {
  expect_type(key, SettingType::count, false);
  return parse_count(value(key, stage)).value;
}

std::optional<std::uint64_t> Settings::count_or_auto(std::string_view key, std::string_view stage) const {
  expect_type(key, SettingType::count, true);
  const std::string text = value(key, stage);
  if (text == kAuto || text == detail::kOff) return std::nullopt;
  if (text == detail::kCores) return std::uint64_t{pinning::kCores};
  return parse_count(text).value;
}

std::uint64_t Settings::bytes(std::string_view key, std::string_view stage) const {
  expect_type(key, SettingType::bytes, false);
  return parse_bytes(value(key, stage)).value;
}

std::chrono::nanoseconds Settings::duration(std::string_view key, std::string_view stage) const {
  expect_type(key, SettingType::duration, false);
  return parse_duration(value(key, stage)).value;
}

bool Settings::flag(std::string_view key, std::string_view stage) const {
  expect_type(key, SettingType::flag, false);
  return parse_flag(value(key, stage)).value;
}

std::string Settings::choice(std::string_view key, std::string_view stage) const {
  expect_type(key, SettingType::choice, false);
  return value(key, stage);
}

std::string Settings::text(std::string_view key, std::string_view stage) const {
  expect_type(key, SettingType::text, false);
  return value(key, stage);
}

std::vector<const Settings::Assignment*> Settings::stage_assignments() const {
  std::vector<const Assignment*> stages;
  for (const Assignment& each : assignments_) {
    if (each.stage.empty() || strongest(each.row, each.stage) != &each) continue;
    // A program's default may have yielded to what was said for all stages.
    if (resolve(each.row, each.stage).origin == each.origin) stages.push_back(&each);
  }
  std::ranges::sort(stages, {}, [](const Assignment* each) { return std::tie(each->stage, each->row); });
  return stages;
}

std::uint64_t Settings::fingerprint() const {
  Fnv hash;
  for (std::size_t row = 0; row < settings_table().size(); ++row) {
    const Setting& setting = settings_table()[row];
    // These two only choose where other values come from, and the file's path differs from machine to
    // machine.
    if (setting.key == kProfile || setting.key == kProfileFile || setting.scope == Scope::single_stage)
      continue;
    hash.add(setting.key);
    hash.add(resolve(row, {}).value);
  }
  for (const Assignment* each : stage_assignments()) {
    if (each->value == resolve(each->row, {}).value) continue;
    hash.add(key_of(settings_table()[each->row], each->stage));
    hash.add(each->value);
  }
  return hash.value();
}

}  // namespace sluice
