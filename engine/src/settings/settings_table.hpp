// SPDX-License-Identifier: Apache-2.0
// The table of all settings: the one place where a setting is described. Private to the engine.
//
// To add a setting, add a row: names, checks, help and the reference page follow. Every text in a row is
// written the way a user would write it, in canonical form.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace sluice::detail {

enum class SettingType : std::uint8_t { count, bytes, duration, flag, choice, text };

enum class Scope : std::uint8_t {
  pipeline,      // One value for the pipeline.
  every_stage,   // A value for all stages, and a stage may have its own.
  single_stage,  // Only ever said of one stage.
};

enum class Stability : std::uint8_t { stable, experimental };

struct Setting {
  std::string_view key = {};
  SettingType type;
  Scope scope = Scope::pipeline;
  std::string_view fallback = {};  // The default, which is also the value of the profile `balanced`.
  std::string_view latency = {};   // The other profiles' values; empty if they keep the default.
  std::string_view throughput = {};
  std::string_view shared = {};
  std::string_view least = {};  // The range of a number.
  std::string_view most = {};
  std::string_view choices = {};  // Of a choice, separated by '|'.
  bool may_be_auto = false;
  bool may_be_off = false;
  bool may_be_cores = false;
  bool cpu_list = false;  // A text that is a list of CPUs.
  std::string_view example = {};
  std::string_view meaning = {};  // The first sentence stands alone in lists.
  std::string_view trade_off = {};
  Stability stability = Stability::stable;
};

std::span<const Setting> settings_table() noexcept;

constexpr std::size_t kNoRow = static_cast<std::size_t>(-1);

// The row of a key, or kNoRow.
std::size_t row_of(std::string_view key) noexcept;

// What the profile says of the setting, or the default if it says nothing.
std::string_view value_in_profile(const Setting& setting, std::string_view profile) noexcept;

}  // namespace sluice::detail
