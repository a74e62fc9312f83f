// SPDX-License-Identifier: Apache-2.0
// Bars with their spread, percentile curves, ratios to the run before.

#include "page_data.hpp"

#include <array>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>

#include "compare.hpp"
#include "figure_text.hpp"
#include "groups.hpp"

namespace sluice::bench {
namespace {

using Json = nlohmann::ordered_json;

struct Percentile {
  const char* figure;
  double part;
};
constexpr std::array kPercentiles = {Percentile{"p50_ns", 0.5}, Percentile{"p90_ns", 0.9},
                                     Percentile{"p99_ns", 0.99}, Percentile{"p99.9_ns", 0.999},
                                     Percentile{"p99.99_ns", 0.9999}};

const char* name_of(Kind kind) noexcept {
  constexpr std::array kNames = {"ours", "limit", "baseline", "peer"};
  return kNames[static_cast<std::size_t>(kind)];
}

Json bar_of(const Row& row) {
  const Spread& spread = *row.spread;
  return {{"subject", row.benchmark->name.subject_text()},
          {"kind", name_of(row.benchmark->name.kind)},
          {"figure", row.figure},
          {"median", spread.median},
          {"least", spread.least},
          {"most", spread.most},
          {"text", figure_text(row.figure, spread.median)},
          {"range", range_text(row.figure, spread.least, spread.most)}};
}

// Of the benchmarks that tell at least three percentiles; x counts nines: 1 is p90, 2 is p99.
Json curve_of(const Row& row) {
  Json points = Json::array();
  for (const Percentile& percentile : kPercentiles) {
    const std::optional<Spread> spread = spread_of(*row.benchmark, percentile.figure);
    if (!spread || spread->median <= 0) continue;
    points.push_back({{"x", -std::log10(1 - percentile.part)},
                      {"y", spread->median},
                      {"least", spread->least},
                      {"most", spread->most}});
  }
  if (points.size() < 3) return nullptr;
  return {{"subject", row.benchmark->name.subject_text()},
          {"kind", name_of(row.benchmark->name.kind)},
          {"parameters", row.benchmark->name.parameters},
          {"points", points}};
}

Json group_data(const Group& group) {
  Json data{{"name", group.name},
            {"figure", group.figure},
            {"heading", heading(group.figure)},
            {"setups", Json::array()},
            {"curves", Json::array()}};
  for (const Setup& setup : group.setups) {
    Json bars = Json::array();
    for (const Row& row : setup.rows) {
      if (!row.spread) continue;
      bars.push_back(bar_of(row));
      Json curve = curve_of(row);
      if (!curve.is_null()) data["curves"].push_back(std::move(curve));
    }
    if (!bars.empty())
      data["setups"].push_back({{"parameters", setup.parameters}, {"bars", std::move(bars)}});
  }
  return data;
}

// How far the ratio may lie, given the rounds of both: from the least of one by the most of the other.
Json change_of(const Difference& difference) {
  return {{"suite", difference.suite},
          {"name", difference.name.text()},
          {"ratio", difference.ratio},
          {"least", difference.after.least / difference.before.most},
          {"most", difference.after.most / difference.before.least},
          {"verdict", !difference.beyond_noise ? "noise"
                      : difference.better      ? "better"
                                               : "worse"}};
}

}  // namespace

std::string chart_data(const Report& report, const Report* before) {
  Json data{{"suites", Json::array()}, {"changes", Json::array()}};
  for (const SuiteResult& suite : report.suites) {
    Json groups = Json::array();
    for (const Group& group : grouped(suite))
      groups.push_back(group_data(group));
    data["suites"].push_back({{"name", suite.name}, {"groups", std::move(groups)}});
  }
  if (before != nullptr) {
    for (const Difference& difference : differences(*before, report)) {
      if (difference.main && difference.ratio > 0 && difference.before.least > 0)
        data["changes"].push_back(change_of(difference));
    }
  }
  std::string text = data.dump(-1, ' ', true, Json::error_handler_t::replace);
  for (std::size_t at = text.find("</"); at != std::string::npos; at = text.find("</", at + 2))
    text.replace(at, 2, "<\\/");
  return text;
}

}  // namespace sluice::bench
