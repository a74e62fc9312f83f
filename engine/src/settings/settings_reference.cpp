// SPDX-License-Identifier: Apache-2.0
// The reference page of all settings, in Markdown, made from the table.

#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sluice/settings.hpp>

#include "settings/settings_names.hpp"
#include "settings/settings_table.hpp"
#include "settings/settings_value.hpp"

namespace sluice {

using namespace detail;

namespace {

constexpr std::string_view kIntroduction = R"(# Settings

Made by `sluice config reference` from the table of settings; edit the rows in `engine/src/settings/*_settings.hpp`, not this page.

Every setting has one key and three ways to write it: `lane.slots` is the variable `SLUICE_LANE_SLOTS` and the option
`--set lane.slots=64K`. Where a stage may have its own, the setting of the stage `parse` is `stage.parse.lane.slots` and
`SLUICE_STAGE_PARSE_LANE_SLOTS`; in a variable a stage's name is in capitals, and each `-` in it is a `_`.

## Which value holds

| layer, the stronger first | written as |
|---|---|
| command line | `--set lane.slots=64K` |
| API | `settings.set("lane.slots", "64K")` |
| environment | `SLUICE_LANE_SLOTS=64K` |
| profile file | `lane.slots = 64K` in the file that `profile.file` names |
| profile | `profile = latency`, in any of the layers above |
| program | `pipeline.default_setting("lane.slots", "64K")`: its own default |
| default | |

A setting of one stage beats the setting for all stages, whatever their layers: `SLUICE_STAGE_PARSE_LANE_SLOTS` holds for
`parse` even beside `--set lane.slots=`. Only a program's default for one stage yields to all that is said. Among equals the stronger
layer wins, and within a layer the later one. A profile is stronger than a program's default where it changes the setting.
`sluice config show` prints every value and where it came from. `sluice config lint FILE` says what of a file, of the
environment and of `--set` a start would refuse, and what makes no sense together or loses a promise; with `-- PROGRAM` it asks
that for its stages. `sluice config diff A B` shows what differs between two profiles or files.

A name that does not exist is an error with the nearest name that does; so is a variable that begins with `SLUICE_` and
is no setting. A profile file holds lines `key = value` and comments after `#`.

## How values are written

| type | written as |
|---|---|
| count | `4096`, `64K`: K, M, G and T are powers of 1024 |
| bytes | `4096`, `64K`, `64KiB`, `2MiB` in powers of 1024; `64kB`, `2MB` in powers of 1000 |
| duration | `10ns`, `20us`, `10ms`, `1.5s`, `2min`, `1h`; only 0 needs no unit |
| flag | `yes` or `no`, `true` or `false`, `on` or `off`, `1` or `0` |
| choice | one of the words listed |
| text | as it stands |

`auto`, where it is allowed, leaves the value to the program.

)";

std::string code(std::string_view text) {
  return text.empty() ? "none" : fmt::format("`{}`", text);
}

std::string stages_text(Scope scope) {
  switch (scope) {
    case Scope::pipeline:
      return "no";
    case Scope::every_stage:
      return "also";
    case Scope::single_stage:
      break;
  }
  return "only";
}

std::string overview() {
  std::string text =
      "## Defaults and profiles\n\n"
      "| setting | `balanced`, the default | `latency` | `throughput` | `shared` | per stage |\n"
      "|---|---|---|---|---|---|\n";
  for (const Setting& setting : settings_table()) {
    const auto in = [&](std::string_view profile) {
      if (setting.key == "profile") return code(profile);
      const std::string_view value = value_in_profile(setting, profile);
      return value == setting.fallback ? std::string{} : code(value);
    };
    text += fmt::format("| {} | {} | {} | {} | {} | {} |\n", code(setting.key), code(setting.fallback),
                        in("latency"), in("throughput"), in("shared"), stages_text(setting.scope));
  }
  return text + "\nAn empty cell keeps the default.\n";
}

std::string section(const Setting& setting) {
  std::string names;
  const auto add = [&](std::string_view stage) {
    names += fmt::format("{}`{}`, `{}`", names.empty() ? "" : "; ", key_of(setting, stage),
                         variable_of(setting, stage));
  };
  if (setting.scope != Scope::single_stage) add({});
  if (setting.scope != Scope::pipeline) add("<name>");
  std::string allowed = allowed_values(setting);
  if (setting.type == SettingType::choice)
    allowed = fmt::format("`{}`", fmt::join(choices_of(setting), "`, `"));
  std::string text = fmt::format("\n## {}\n\n{}\n\n{}\n\n", setting.key, setting.meaning, setting.trade_off);
  text += fmt::format("- Type: {}; {}.\n", name_of(setting.type), allowed);
  text += fmt::format("- Default: {}; for example {}.\n", code(setting.fallback), code(setting.example));
  text += fmt::format("- Names: {}.\n", names);
  text +=
      fmt::format("- Stability: {}.\n", setting.stability == Stability::stable ? "stable" : "experimental");
  return text;
}

}  // namespace

std::string settings_reference() {
  std::string page{kIntroduction};
  page += overview();
  for (const Setting& setting : settings_table())
    page += section(setting);
  return page;
}

}  // namespace sluice
