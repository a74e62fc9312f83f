// SPDX-License-Identifier: Apache-2.0
// The values of settings: whether a text is allowed, and how it is written canonically. Private to the
// engine.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "settings/settings_table.hpp"

namespace sluice::detail {

struct CheckedValue {
  std::string canonical = {};
  std::string fault = {};  // Why the text is refused: "it is less than 2".

  bool ok() const noexcept { return fault.empty(); }
};

// Without the blanks around it, and without the carriage return of a file from elsewhere.
std::string_view trimmed(std::string_view text);

constexpr std::string_view kAuto = "auto";
constexpr std::string_view kOff = "off";
constexpr std::string_view kCores = "cores";

CheckedValue check_value(const Setting& setting, std::string_view text);

// What may be written: "a whole number from 2 to 1T".
std::string allowed_values(const Setting& setting);

std::vector<std::string> choices_of(const Setting& setting);

std::string_view name_of(SettingType type) noexcept;

}  // namespace sluice::detail
