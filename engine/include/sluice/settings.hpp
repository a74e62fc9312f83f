// SPDX-License-Identifier: Apache-2.0
// The settings of a pipeline: every value that can be tuned without changing the program, and where it came
// from.
//
// One table (in engine/src/settings/) describes every setting; names, checks, help and the
// reference page (docs/reference/settings.md) are made from it. A Settings is a plain value: fill it, hand it
// to the engine. It is read and written before a pipeline starts, by one thread at a time; workers get the
// resolved values from the segment and never read the environment.
//
// Names. `lane.slots` is the variable SLUICE_LANE_SLOTS and `--set lane.slots=`. A setting that a stage may
// have for itself is also `stage.parse.lane.slots`, the variable SLUICE_STAGE_PARSE_LANE_SLOTS; in a variable
// the stage's name is upper-cased and every '-' is written '_', so stage names that differ only so share
// their settings.
//
// Which value holds. The layers, from weakest to strongest: default, the program's default
// (Pipeline::default_setting), profile, profile file, environment, API, command line. A setting of one stage beats the
// setting for all stages, whatever their layers, but a program's default yields to all that was said; among equals the
// stronger layer wins, and within a layer the later assignment.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

namespace detail {
struct SaidSettings;
}  // namespace detail

// The layer that a value came from, weakest first.
enum class Origin : std::uint8_t { fallback, program, profile, profile_file, environment, api, command_line };

// "default", "program", "profile", "profile file", "environment", "API", "command line".
std::string_view name_of(Origin origin) noexcept;

struct ValueOrigin {  // Where a value came from.
  Origin layer = Origin::fallback;
  std::string detail;  // The profile's name, "path:line" or the variable's name; empty for the other layers.

  std::string text() const;  // For people: "environment SLUICE_LANE_SLOTS".

  friend bool operator==(const ValueOrigin&, const ValueOrigin&) = default;
};

struct SettingValue {  // A setting as it is shown.
  std::string key;     // "lane.slots", "stage.parse.lane.slots".
  std::string value;   // Canonical; empty where nothing is set.
  std::string origin;  // As ValueOrigin::text() has it.

  friend bool operator==(const SettingValue&, const SettingValue&) = default;
};

class Settings {
 public:
  // The defaults of the profile `balanced`. Does not look at the environment.
  Settings() = default;

  // Reads every variable whose name begins with SLUICE_, once. Throws Error for a name that is no setting,
  // with the nearest name, and for a bad value. The second form reads "NAME=value" strings; a null pointer
  // ends them early.
  static Settings from_environment();
  static Settings from_environment(std::span<const char* const> variables);

  // Sets `key`, which may be of one stage ("stage.parse.workers"), in the layer `origin`. Setting
  // `profile.file` also reads the file. Throws Error that says what is allowed, gives an example, and tells
  // where the value came from; nothing has changed then. `origin` is a layer from profile_file up, or `program`, which
  // sets neither `profile` nor `profile.file`; the other two belong to the table.
  void set(std::string_view key, std::string_view value, Origin origin = Origin::api);

  // The same for "key=value", as in `--set lane.slots=64K`. Throws Error also where there is no '='.
  void set_assignment(std::string_view assignment, Origin origin = Origin::command_line);

  // These, and what `weaker` has that they have not in the same layer: Pipeline::with_defaults().
  Settings above(const Settings& weaker) const;

  // Throws Error if a setting is for a stage that is not among `stages`, with the nearest name, or if two
  // stages could not be told apart in the name of a variable. Stage names are known only with a pipeline, so
  // this check is separate.
  void check_stages(std::span<const std::string> stages) const;

  // The value that holds for all stages or, with `stage`, for that stage. A key that is not in the table,
  // that has another type, or that only stages have and is asked for without one, is a bug of the caller:
  // std::logic_error.
  std::uint64_t count(std::string_view key, std::string_view stage = {}) const;
  std::uint64_t bytes(std::string_view key, std::string_view stage = {}) const;
  std::chrono::nanoseconds duration(std::string_view key, std::string_view stage = {}) const;
  bool flag(std::string_view key, std::string_view stage = {}) const;
  std::string choice(std::string_view key, std::string_view stage = {}) const;
  std::string text(std::string_view key, std::string_view stage = {}) const;

  // For the counts that may be `auto` (workers, table.rows) or `off` (latency.sample): nothing means "as the program
  // says", or off. For `workers` also sluice::cores.
  std::optional<std::uint64_t> count_or_auto(std::string_view key, std::string_view stage = {}) const;

  // The value of a setting of any type, written canonically: "2MiB", "10ms", "auto"; and the layer that it
  // came from. std::logic_error as above.
  std::string value(std::string_view key, std::string_view stage = {}) const;

  ValueOrigin origin_of(std::string_view key, std::string_view stage = {}) const;

  // A table for people of every value and its origin: of all stages, with the stages' own settings below, or
  // as the one stage has them.
  std::string show(std::string_view stage = {}) const;

  // What show() shows, for programs: every value that holds for all stages, then what single stages have. What only
  // stages can have is named for each stage that has it, and not among the first.
  std::vector<SettingValue> values() const;

  // All about one setting, for people; `key` is a key, the key of a stage, or a variable's name. Throws Error
  // for an unknown one.
  std::string explain(std::string_view key) const;

  // A hash of the resolved values, the same on every machine and for every way to reach them: two crash
  // reports with one fingerprint ran with the same settings.
  std::uint64_t fingerprint() const;

 private:
  friend struct detail::SaidSettings;
  struct Assignment {
    std::size_t row = 0;  // In the table.
    std::string stage;    // Folded, so that every spelling of a stage compares equal; empty for all stages.
    std::string stage_name;  // As it was written.
    std::string value;       // Checked and canonical.
    ValueOrigin origin;
  };
  struct Resolved {
    std::string value;
    ValueOrigin origin;
  };

  const Assignment* strongest(std::size_t row, std::string_view folded_stage) const;
  Resolved resolve(std::size_t row, std::string_view folded_stage) const;
  void assign(std::size_t row, std::string_view stage, std::string_view value, ValueOrigin origin);
  void read_profile_file();
  std::vector<const Assignment*> stage_assignments() const;

  std::vector<Assignment> assignments_;
};

// Every key, in the order of the table; stages' keys are not among them.
std::vector<std::string_view> setting_keys();

// What a program's --help says about settings: the ways to set one, and a line for each key.
std::string settings_help();

// The page docs/reference/settings.md, whole.
std::string settings_reference();

}  // namespace sluice
