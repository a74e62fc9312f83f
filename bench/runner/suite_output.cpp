// SPDX-License-Identifier: Apache-2.0
// Google Benchmark's JSON to rounds and figures.

#include "suite_output.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <sstream>
#include <utility>
#include <vector>

namespace sluice::bench {
namespace {

using nlohmann::json;

double nanoseconds_in(const std::string& unit) noexcept {
  if (unit == "s") return 1e9;
  if (unit == "ms") return 1e6;
  return unit == "us" ? 1e3 : 1;
}

// Everything that is a number and no part of Google Benchmark's own book-keeping.
bool is_counter(const std::string& member, const json& value) {
  constexpr std::array<std::string_view, 9> kOthers = {"family_index", "per_family_instance_index",
                                                       "repetitions",  "repetition_index",
                                                       "threads",      "iterations",
                                                       "real_time",    "cpu_time",
                                                       "time_unit"};
  return value.is_number() && std::ranges::find(kOthers, member) == kOthers.end();
}

Round round_from(const json& entry) {
  Round round;
  if (entry.value("error_occurred", false)) {
    round.fault = entry.value("error_message", "");
    if (round.fault.empty()) round.fault = "it gives no reason";
    return round;
  }
  round.iterations = entry.value("iterations", std::uint64_t{0});
  const double unit_ns = nanoseconds_in(entry.value("time_unit", "ns"));
  round.figures["time_ns"] = entry.value("real_time", 0.0) * unit_ns;
  round.figures["cpu_time_ns"] = entry.value("cpu_time", 0.0) * unit_ns;
  for (const auto& [member, value] : entry.items()) {
    if (is_counter(member, value)) round.figures[member] = value.get<double>();
  }
  return round;
}

// Google Benchmark writes what is no number (the deviation of nothing but zeros) as JSON cannot have it.
std::string with_null_for_no_number(std::string text) {
  for (const std::string_view no_number : {"-NaN", "NaN", "-Infinity", "Infinity"}) {
    const std::string value = std::string{": "}.append(no_number);
    for (std::size_t at = text.find(value); at != std::string::npos; at = text.find(value, at)) {
      const std::size_t end = at + value.size();
      const bool is_value = end < text.size() && (text[end] == ',' || text[end] == '\n');
      if (is_value) text.replace(at, value.size(), ": null");
      at += is_value ? 6 : value.size();
    }
  }
  return text;
}

// A file that is cut off ends in the midst of a list of entries, each of which ends with this.
json parsed_up_to_the_cut(const std::string& text) {
  const std::size_t end = text.rfind("\n    }");
  if (end == std::string::npos) return json::object();
  json mended = json::parse(text.substr(0, end) + "\n    }\n  ]\n}", nullptr, false);
  return mended.is_discarded() ? json::object() : mended;
}

}  // namespace

SuiteOutput read_suite_output(const std::string& written) {
  const std::string text = with_null_for_no_number(written);
  SuiteOutput output;
  std::vector<std::pair<std::uint64_t, Benchmark>> found;  // By the place that the suite gave them.
  json document = json::parse(text, nullptr, false);
  output.whole = document.is_object();
  if (!output.whole) document = parsed_up_to_the_cut(text);
  for (const json& entry : document.value("benchmarks", json::array())) {
    if (!entry.is_object() || entry.value("run_type", "iteration") != "iteration") continue;
    const Name name = parse_name(entry.value("run_name", entry.value("name", "")));
    auto known = std::ranges::find(found, name, [](const auto& each) { return each.second.name; });
    if (known == found.end()) {
      const auto place = entry.value("family_index", std::uint64_t{0});
      known = found.insert(known, {place, Benchmark{name, entry.value("label", ""), {}}});
    }
    known->second.rounds.push_back(round_from(entry));
  }
  // Interleaved rounds are reported in no order at all.
  std::ranges::stable_sort(found, {}, [](const auto& each) { return each.first; });
  for (auto& [place, benchmark] : found)
    output.benchmarks.push_back(std::move(benchmark));
  return output;
}

std::string own_words(const std::string& standard_error) {
  constexpr std::array<std::string_view, 7> kAccount = {"Running ", "Run on (", "CPU Caches:",  "  L1 ",
                                                        "  L2 ",    "  L3 ",    "Load Average:"};
  std::istringstream lines{standard_error};
  std::string words;
  for (std::string line; std::getline(lines, line);) {
    const bool is_date = line.size() >= 19 && line[4] == '-' && line[7] == '-' && line[13] == ':';
    const bool is_account =
        is_date || line.starts_with("***WARNING***") ||
        std::ranges::any_of(kAccount, [&line](std::string_view start) { return line.starts_with(start); });
    if (is_account || line.empty()) continue;
    words.append(words.empty() ? "" : "\n").append(line);
  }
  // The end of a long lament is what tells.
  constexpr std::size_t kMostBytes = 4000;
  if (words.size() > kMostBytes) words = "... " + words.substr(words.size() - kMostBytes);
  return words;
}

}  // namespace sluice::bench
