// SPDX-License-Identifier: Apache-2.0
// Reports to and from JSON. The order of members is that of the code, so that two files can be compared.

#include "report.hpp"

#include <nlohmann/json.hpp>
#include <optional>

#include <fmt/format.h>

#include <sluice/detail/text_file.hpp>
#include <sluice/error.hpp>

namespace sluice::bench {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kProduct = "sluice bench";

Json json_of(const Facts& facts) {
  Json json = Json::object();
  for (const auto& [name, value] : facts)
    json[name] = value;
  return json;
}

Json json_of(const Round& round) {
  Json json{{"iterations", round.iterations}, {"disturbed", disturbed(round)}};
  if (!round.fault.empty()) json["fault"] = round.fault;
  json["figures"] = round.figures;
  return json;
}

Json json_of(const Benchmark& benchmark) {
  Json json{{"name", benchmark.name.text()}};
  if (!benchmark.label.empty()) json["label"] = benchmark.label;
  json["median"] = Json::object();
  for (const std::string& figure : figures_of(benchmark))
    json["median"][figure] = spread_of(benchmark, figure)->median;
  json["rounds"] = Json::array();
  for (const Round& round : benchmark.rounds)
    json["rounds"].push_back(json_of(round));
  return json;
}

Json json_of(const SuiteResult& suite) {
  Json json{{"name", suite.name},
            {"outcome", name_of(suite.outcome)},
            {"words", suite.words},
            {"seconds", suite.seconds},
            {"benchmarks", Json::array()}};
  for (const Benchmark& benchmark : suite.benchmarks)
    json["benchmarks"].push_back(json_of(benchmark));
  return json;
}

Facts facts_from(const Json& json) {
  Facts facts;
  for (const auto& [name, value] : json.items())
    facts.emplace_back(name, value.get<std::string>());
  return facts;
}

Benchmark benchmark_from(const Json& json) {
  Benchmark benchmark;
  benchmark.name = parse_name(json.at("name").get<std::string>());
  benchmark.label = json.value("label", "");
  for (const Json& each : json.at("rounds")) {
    Round round;
    round.iterations = each.at("iterations").get<std::uint64_t>();
    round.fault = each.value("fault", "");
    for (const auto& [figure, value] : each.at("figures").items()) {
      // JSON has no infinity and no NaN: null stands for them, and is no measurement.
      if (!value.is_null()) round.figures[figure] = value.get<double>();
    }
    benchmark.rounds.push_back(std::move(round));
  }
  return benchmark;
}

SuiteResult suite_from(const Json& json, const std::string& source) {
  SuiteResult suite;
  suite.name = json.at("name").get<std::string>();
  const auto outcome = json.at("outcome").get<std::string>();
  const std::optional<Outcome> known = outcome_of(outcome);
  if (!known)
    throw Error{
        {"read", source, fmt::format("suite {} has an unknown outcome '{}'", suite.name, outcome), ""}};
  suite.outcome = *known;
  suite.words = json.at("words").get<std::string>();
  suite.seconds = json.at("seconds").get<double>();
  for (const Json& each : json.at("benchmarks"))
    suite.benchmarks.push_back(benchmark_from(each));
  return suite;
}

Report report_from(const Json& json, const std::string& source) {
  Report report;
  report.version = json.at("version").get<std::string>();
  report.commit = json.at("commit").get<std::string>();
  report.date = json.at("date").get<std::string>();
  report.quick = json.at("quick").get<bool>();
  report.peers = json.at("peers").get<bool>();
  const Json& machine = json.at("machine");
  report.machine.facts = facts_from(machine.at("facts"));
  report.machine.mitigations = facts_from(machine.at("mitigations"));
  report.machine.hwloc_xml = machine.at("hwloc_xml").get<std::string>();
  for (const Json& each : json.at("settings"))
    report.settings.push_back({each.at("key").get<std::string>(), each.at("value").get<std::string>(),
                               each.at("origin").get<std::string>()});
  report.placement = json.at("placement").get<std::string>();
  for (const Json& each : json.at("suites"))
    report.suites.push_back(suite_from(each, source));
  note_odd_rounds(report.suites);
  return report;
}

Error unreadable(const std::string& source, const std::string& why) {
  return Error{{"read", source, why, "give a file that sluice bench --json has written"}};
}

}  // namespace

std::string to_json(const Report& report) {
  Json json{{"product", kProduct},       {"schema", kReportSchema},
            {"version", report.version}, {"commit", report.commit},
            {"date", report.date},       {"quick", report.quick},
            {"peers", report.peers},     {"disturbed_above_percent", kDisturbedPercent}};
  json["machine"] = {{"facts", json_of(report.machine.facts)},
                     {"mitigations", json_of(report.machine.mitigations)},
                     {"hwloc_xml", report.machine.hwloc_xml}};
  json["settings"] = Json::array();
  for (const SettingValue& setting : report.settings)
    json["settings"].push_back({{"key", setting.key}, {"value", setting.value}, {"origin", setting.origin}});
  json["placement"] = report.placement;
  json["suites"] = Json::array();
  for (const SuiteResult& suite : report.suites)
    json["suites"].push_back(json_of(suite));
  // What programs said may be any bytes.
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Report from_json(const std::string& text, const std::string& source) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded())
    throw unreadable(source, text.empty() ? "it is empty" : "it is no JSON, or cut off");
  if (!json.is_object() || json.value("product", Json{}) != kProduct)
    throw unreadable(source, "it is no result of sluice bench");
  if (json.value("schema", Json{}) != kReportSchema) {
    throw unreadable(source, fmt::format("its schema is {}, and this program reads {}",
                                         json.value("schema", Json{}).dump(), kReportSchema));
  }
  try {
    return report_from(json, source);
  } catch (const nlohmann::json::exception& error) {
    throw unreadable(source, fmt::format("it is damaged: {}", error.what()));
  }
}

Report read_report(const std::string& path) {
  constexpr std::size_t kMostBytes = std::size_t{256} << 20;
  const detail::TextRead read = detail::read_text_file(path, kMostBytes);
  if (!read.why.empty())
    throw Error{{"read", '"' + path + '"', read.why, "give a file that sluice bench --json has written"}};
  return from_json(read.text, path);
}

}  // namespace sluice::bench
