// SPDX-License-Identifier: Apache-2.0
// Units and digits.

#include "figure_text.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include <fmt/format.h>

#include "results.hpp"

namespace sluice::bench {
namespace {

struct Unit {
  double factor;
  std::string_view name;
};

constexpr std::array kTimes = {Unit{1, "ns"}, Unit{1e3, "us"}, Unit{1e6, "ms"}, Unit{1e9, "s"}};
constexpr std::array kSeconds = {Unit{1e-9, "ns"}, Unit{1e-6, "us"}, Unit{1e-3, "ms"}, Unit{1, "s"}};
constexpr std::array kRates = {Unit{1, "/s"}, Unit{1e3, "k/s"}, Unit{1e6, "M/s"}, Unit{1e9, "G/s"}};
constexpr std::array kByteRates = {Unit{1, "B/s"}, Unit{1e3, "kB/s"}, Unit{1e6, "MB/s"}, Unit{1e9, "GB/s"}};
constexpr std::array kSizes = {Unit{1, "B"}, Unit{1024, "KiB"}, Unit{1048576, "MiB"},
                               Unit{1073741824, "GiB"}};
constexpr std::array kPercents = {Unit{1, "%"}};
constexpr std::array kPlain = {Unit{1, ""}, Unit{1e3, "k"}, Unit{1e6, "M"}, Unit{1e9, "G"}};

std::span<const Unit> units_of(std::string_view figure) noexcept {
  if (figure.ends_with("bytes_per_second")) return kByteRates;
  if (figure.ends_with("_per_second")) return kRates;
  if (figure.ends_with("_ns") || figure.ends_with("_ns_per_item")) return kTimes;
  if (figure.ends_with("_s")) return kSeconds;
  if (figure.ends_with("_bytes")) return kSizes;
  if (figure.ends_with("_percent")) return kPercents;
  return kPlain;
}

// The greatest unit in which the value is at least 1, else the smallest.
const Unit& unit_for(std::span<const Unit> units, double value) noexcept {
  const Unit* best = &units.front();
  for (const Unit& unit : units) {
    if (std::abs(value) >= unit.factor * 0.9995) best = &unit;
  }
  return *best;
}

std::string digits(double value) {
  const double size = std::abs(value);
  if (value == 0 || size >= 99.95) return fmt::format("{:.0f}", value);
  if (size >= 9.995) return fmt::format("{:.1f}", value);
  return size >= 0.01 ? fmt::format("{:.2f}", value) : fmt::format("{:.1g}", value);
}

std::string with_unit(const std::string& number, std::string_view unit) {
  return unit.empty() ? number : fmt::format("{} {}", number, unit);
}

}  // namespace

std::string figure_text(std::string_view figure, double value) {
  const Unit& unit = unit_for(units_of(figure), value);
  return with_unit(digits(value / unit.factor), unit.name);
}

std::string range_text(std::string_view figure, double least, double most) {
  const Unit& unit = unit_for(units_of(figure), most);
  return with_unit(fmt::format("{}..{}", digits(least / unit.factor), digits(most / unit.factor)), unit.name);
}

std::string ratio_text(double ratio) {
  if (ratio >= 99.5) return fmt::format("{:.0f}", ratio);
  return ratio >= 9.95 ? fmt::format("{:.1f}", ratio) : fmt::format("{:.2f}", ratio);
}

std::string heading(std::string_view figure) {
  std::string what{figure};
  if (figure == "items_per_second") what = "events a second";
  if (figure == "time_ns") what = "time";
  if (figure == "overhead_bytes") what = "bytes beyond the slots";
  if (figure == "private_bytes") what = "private memory";
  if (figure == "cpu_percent") what = "percent of one processing unit";
  for (const std::string_view unit : {"_ns", "_s", "_bytes", "_percent"}) {
    if (what == figure && what.ends_with(unit)) {
      what.erase(what.size() - unit.size());
      break;
    }
  }
  return fmt::format("{}, {} is better", what, more_is_better(figure) ? "more" : "less");
}

}  // namespace sluice::bench
