// SPDX-License-Identifier: Apache-2.0
// The checks that a value must pass, one for each type of setting.

#include "settings/settings_value.hpp"

#include <algorithm>
#include <chrono>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <sluice/error.hpp>
#include <sluice/pinning/cpu_set.hpp>
#include <sluice/units.hpp>

#include "settings/settings_names.hpp"

namespace sluice::detail {
namespace {

// A parsed number within the range of its setting, written canonically.
template <typename Number, typename Parse, typename Format>
CheckedValue check_number(const Setting& setting, std::string_view text, Parse parse, Format format) {
  const Parsed<Number> parsed = parse(text);
  if (!parsed.ok()) return {.fault = parsed.fault};
  if (parsed.value < parse(setting.least).value)
    return {.fault = fmt::format("it is less than {}", setting.least)};
  if (parsed.value > parse(setting.most).value)
    return {.fault = fmt::format("it is more than {}", setting.most)};
  return {.canonical = format(parsed.value)};
}

CheckedValue check_choice(const Setting& setting, std::string_view text) {
  const std::vector<std::string> choices = choices_of(setting);
  if (std::ranges::find(choices, text) != choices.end()) return {.canonical = std::string{text}};
  if (text.empty()) return {.fault = "it is empty"};
  const std::string near = nearest(text, choices);
  return {.fault =
              "it is none of the choices" + (near.empty() ? "" : fmt::format("; did you mean {}?", near))};
}

CheckedValue check_flag(std::string_view text) {
  const Parsed<bool> parsed = parse_flag(text);
  if (!parsed.ok()) return {.fault = parsed.fault};
  return {.canonical = format_flag(parsed.value)};
}

// A line feed in a text could not be written in a profile file, and would spoil every table it stands in.
CheckedValue check_text(std::string_view text) {
  const auto is_control = [](unsigned char character) { return character < ' '; };
  if (std::ranges::any_of(text, is_control)) return {.fault = "it holds a control character"};
  return {.canonical = std::string{text}};
}

CheckedValue check_cpu_list(std::string_view text) {
  try {
    return {.canonical = pinning::CpuSet::parse(text).to_string()};
  } catch (const Error& error) {
    return {.fault = error.parts().why};
  }
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kBlanks = " \t\r";
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

CheckedValue check_value(const Setting& setting, std::string_view text) {
  // Nothing, where a path is meant, is what `VARIABLE=` says in a shell: not set.
  if (setting.type == SettingType::text && text.empty()) return {.canonical = std::string{setting.fallback}};
  if (setting.may_be_auto && text == kAuto) return {.canonical = std::string{kAuto}};
  if (setting.may_be_off && text == kOff) return {.canonical = std::string{kOff}};
  if (setting.may_be_cores && text == kCores) return {.canonical = std::string{kCores}};
  switch (setting.type) {
    case SettingType::count:
      return check_number<std::uint64_t>(setting, text, parse_count, format_count);
    case SettingType::bytes:
      return check_number<std::uint64_t>(setting, text, parse_bytes, format_bytes);
    case SettingType::duration:
      return check_number<std::chrono::nanoseconds>(setting, text, parse_duration, format_duration);
    case SettingType::flag:
      return check_flag(text);
    case SettingType::choice:
      return check_choice(setting, text);
    case SettingType::text:
      break;
  }
  return setting.cpu_list ? check_cpu_list(text) : check_text(text);
}

std::string allowed_values(const Setting& setting) {
  const std::string or_auto = setting.may_be_cores  ? ", auto or cores"
                              : setting.may_be_auto ? ", or auto"
                              : setting.may_be_off  ? ", or off"
                                                    : "";
  const std::string range = fmt::format("from {} to {}", setting.least, setting.most);
  switch (setting.type) {
    case SettingType::count:
      return fmt::format("a whole number {}{}", range, or_auto);
    case SettingType::bytes:
      return fmt::format("a size {}{}", range, or_auto);
    case SettingType::duration:
      return fmt::format("a duration {}, in ns, us, ms, s, min or h{}", range, or_auto);
    case SettingType::flag:
      return "yes or no";
    case SettingType::choice:
      return fmt::format("one of {}", fmt::join(choices_of(setting), ", "));
    case SettingType::text:
      break;
  }
  return setting.cpu_list ? "CPU numbers and ranges with commas between them" : "any text";
}

std::vector<std::string> choices_of(const Setting& setting) {
  std::vector<std::string> choices;
  std::string_view rest = setting.choices;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find('|'), rest.size());
    choices.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  return choices;
}

std::string_view name_of(SettingType type) noexcept {
  switch (type) {
    case SettingType::count:
      return "count";
    case SettingType::bytes:
      return "bytes";
    case SettingType::duration:
      return "duration";
    case SettingType::flag:
      return "flag";
    case SettingType::choice:
      return "choice";
    case SettingType::text:
      break;
  }
  return "text";
}

}  // namespace sluice::detail
