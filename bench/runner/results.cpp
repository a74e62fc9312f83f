// SPDX-License-Identifier: Apache-2.0
// Names taken apart, medians and spreads.

#include "results.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <utility>

namespace sluice::bench {
namespace {

constexpr std::array kKindPrefixes = {std::pair{Kind::limit, std::string_view{"limit:"}},
                                      std::pair{Kind::baseline, std::string_view{"baseline:"}},
                                      std::pair{Kind::peer, std::string_view{"peer:"}}};

constexpr std::array kOutcomes = {std::pair{Outcome::completed, std::string_view{"completed"}},
                                  std::pair{Outcome::failed, std::string_view{"failed"}},
                                  std::pair{Outcome::skipped, std::string_view{"skipped"}},
                                  std::pair{Outcome::missing, std::string_view{"missing"}},
                                  std::pair{Outcome::timed_out, std::string_view{"timed out"}},
                                  std::pair{Outcome::interrupted, std::string_view{"interrupted"}},
                                  std::pair{Outcome::not_run, std::string_view{"not run"}}};

// What Google Benchmark 1.7 appends to a name, in its order; those that end in ':' are followed by a number.
constexpr std::array<std::string_view, 8> kAppended = {"min_time:",   "min_warmup_time:", "iterations:",
                                                       "repeats:",    "process_time",     "real_time",
                                                       "manual_time", "threads:"};

bool is_appended(std::string_view part) noexcept {
  return std::ranges::any_of(kAppended, [part](std::string_view appended) {
    return appended.ends_with(':') ? part.starts_with(appended) : part == appended;
  });
}

// Takes the part up to the next '/' off `rest`.
std::string_view next_part(std::string_view& rest) noexcept {
  const std::size_t end = std::min(rest.find('/'), rest.size());
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return part;
}

constexpr const char* kLineTrip = "line_trip_ns";

// Figures that say how a round went, not what it measured.
bool about_the_round(std::string_view figure) noexcept {
  return figure == "others_percent" || figure == "steal_percent" || figure == kLineTrip;
}

// 0 if the round does not tell.
double line_trip_ns(const Round& round) {
  const auto found = round.figures.find(kLineTrip);
  return found == round.figures.end() ? 0 : found->second;
}

}  // namespace

std::string Name::subject_text() const {
  for (const auto& [prefixed, prefix] : kKindPrefixes) {
    if (prefixed == kind) return std::string{prefix} + subject;
  }
  return subject;
}

std::string Name::text() const {
  return group + "/" + subject_text() + (parameters.empty() ? "" : "/" + parameters);
}

Name parse_name(std::string_view text) {
  for (std::size_t slash = text.rfind('/');
       slash != std::string_view::npos && is_appended(text.substr(slash + 1)); slash = text.rfind('/'))
    text = text.substr(0, slash);
  Name name;
  name.group = next_part(text);
  std::string_view subject = next_part(text);
  for (const auto& [kind, prefix] : kKindPrefixes) {
    if (!subject.starts_with(prefix)) continue;
    name.kind = kind;
    subject.remove_prefix(prefix.size());
    break;
  }
  name.subject = subject;
  name.parameters = text;
  return name;
}

std::string Benchmark::fault() const {
  for (const Round& round : rounds) {
    if (!round.fault.empty()) return round.fault;
  }
  return {};
}

std::string_view name_of(Outcome outcome) noexcept {
  return std::ranges::find(kOutcomes, outcome, [](const auto& each) { return each.first; })->second;
}

std::optional<Outcome> outcome_of(std::string_view name) noexcept {
  for (const auto& [outcome, text] : kOutcomes) {
    if (text == name) return outcome;
  }
  return std::nullopt;
}

std::optional<double> usual_line_trip_ns(const std::vector<SuiteResult>& suites) {
  std::vector<double> trips;
  for (const SuiteResult& suite : suites) {
    for (const Benchmark& benchmark : suite.benchmarks) {
      for (const Round& round : benchmark.rounds) {
        if (const double trip = line_trip_ns(round); trip > 0) trips.push_back(trip);
      }
    }
  }
  if (trips.empty()) return std::nullopt;
  const auto middle = trips.begin() + static_cast<std::ptrdiff_t>(trips.size() / 2);
  std::ranges::nth_element(trips, middle);
  return *middle;
}

void note_odd_rounds(std::vector<SuiteResult>& suites) {
  const std::optional<double> usual = usual_line_trip_ns(suites);
  if (!usual) return;
  for (SuiteResult& suite : suites) {
    for (Benchmark& benchmark : suite.benchmarks) {
      for (Round& round : benchmark.rounds) {
        const double trip = line_trip_ns(round);
        round.odd = trip > 0 && (trip >= kOdd * *usual || trip <= *usual / kOdd);
      }
    }
  }
}

std::optional<Spread> spread_of(const Benchmark& benchmark, std::string_view figure) {
  std::vector<double> usual;
  std::vector<double> odd;
  for (const Round& round : benchmark.rounds) {
    const auto found = round.figures.find(std::string{figure});
    if (round.fault.empty() && found != round.figures.end())
      (round.odd ? odd : usual).push_back(found->second);
  }
  std::vector<double>& values = usual.empty() ? odd : usual;
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  const double median = values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
  return Spread{median, values.front(), values.back(), values.size()};
}

std::vector<std::string> figures_of(const Benchmark& benchmark) {
  std::vector<std::string> figures;
  for (const Round& round : benchmark.rounds) {
    for (const auto& [figure, value] : round.figures) {
      const bool known = std::ranges::find(figures, figure) != figures.end();
      if (round.fault.empty() && !known && !about_the_round(figure)) figures.push_back(figure);
    }
  }
  return figures;
}

std::string main_figure(const Benchmark& benchmark) {
  for (const char* figure :
       {"p50_ns", "items_per_second", "overhead_bytes", "private_bytes", "cpu_percent"}) {
    if (spread_of(benchmark, figure)) return figure;
  }
  return "time_ns";
}

std::vector<std::string> telling_figures(const Benchmark& benchmark) {
  std::vector<std::string> figures = {main_figure(benchmark)};
  for (std::string& figure : figures_of(benchmark)) {
    const bool is_form_of_time =
        figure == "time_ns" || figure == "cpu_time_ns" || figure == "bytes_per_second";
    if (!is_form_of_time && figure != figures.front()) figures.push_back(std::move(figure));
  }
  return figures;
}

bool more_is_better(std::string_view figure) noexcept {
  return figure.ends_with("_per_second");
}

bool disturbed(const Round& round) {
  double percent = 0;
  for (const char* figure : {"others_percent", "steal_percent"}) {
    const auto found = round.figures.find(figure);
    if (found != round.figures.end()) percent += found->second;
  }
  return round.odd || percent > kDisturbedPercent;
}

std::size_t disturbed_rounds(const Benchmark& benchmark) {
  return static_cast<std::size_t>(std::ranges::count_if(benchmark.rounds, disturbed));
}

}  // namespace sluice::bench
