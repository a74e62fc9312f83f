// SPDX-License-Identifier: Apache-2.0
#include "judge.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "figure_text.hpp"

namespace sluice::bench {
namespace {

Verdict verdict_of(double value, Bound bound, double line) noexcept {
  return (bound == Bound::at_least ? value >= line : value <= line) ? Verdict::holds : Verdict::falls_short;
}

std::string line_text(Bound bound, const std::string& line) {
  return fmt::format("{} {}", bound == Bound::at_least ? "at least" : "at most", line);
}

}  // namespace

// Why a suite has no such benchmark.
std::string Judge::why_not(const std::string& suite) const {
  const auto found = std::ranges::find(report_.suites, suite, &SuiteResult::name);
  if (found == report_.suites.end())
    return suite == "peers" ? "suite peers was not run: --peers" : fmt::format("suite {} was not run", suite);
  if (found->outcome == Outcome::completed) return {};
  return fmt::format("suite {} {}: {}", suite,
                     found->outcome == Outcome::missing ? "is missing" : name_of(found->outcome),
                     found->words.substr(0, found->words.find('\n')));
}

Found Judge::find(const std::string& suite, const std::string& name, const std::string& figure) const {
  for (const SuiteResult& each : report_.suites) {
    if (each.name != suite) continue;
    for (const Benchmark& benchmark : each.benchmarks) {
      if (benchmark.name.text() != name) continue;
      const std::optional<Spread> spread = spread_of(benchmark, figure);
      const bool disturbed = 2 * disturbed_rounds(benchmark) > benchmark.rounds.size();
      if (spread) return {spread->median, benchmark.name.subject_text(), {}, disturbed};
      const std::string fault = benchmark.fault();
      return {{}, {}, fmt::format("{}: {}", name, fault.empty() ? "no " + figure : fault), disturbed};
    }
  }
  const std::string why = why_not(suite);
  return {{}, {}, why.empty() ? fmt::format("suite {} has no {}", suite, name) : why, false};
}

Found Judge::extreme(const std::string& suite, std::span<const std::string> names, const std::string& figure,
                     bool most) const {
  Found extreme;
  for (const std::string& name : names) {
    Found found = find(suite, name, figure);
    if (!found.value) {
      if (!extreme.value && extreme.why.empty()) extreme.why = found.why;
      continue;
    }
    if (!extreme.value || most == (*found.value > *extreme.value)) extreme = found;
  }
  return extreme;
}

Found Judge::best(const std::string& suite, std::span<const std::string> names,
                  const std::string& figure) const {
  return extreme(suite, names, figure, more_is_better(figure));
}

Found Judge::worst(const std::string& suite, std::span<const std::string> names,
                   const std::string& figure) const {
  return extreme(suite, names, figure, !more_is_better(figure));
}

Found Judge::best_peer(const std::string& suite, const std::string& group,
                       std::span<const std::string> parameters, const std::string& figure) const {
  std::vector<std::string> names;
  for (const SuiteResult& each : report_.suites) {
    if (each.name != suite) continue;
    for (const Benchmark& benchmark : each.benchmarks) {
      const Name& name = benchmark.name;
      const bool asked = std::ranges::find(parameters, name.parameters) != parameters.end();
      if (name.group == group && name.kind == Kind::peer && asked) names.push_back(name.text());
    }
  }
  Found found = best(suite, names, figure);
  if (!found.value && found.why.empty()) found.why = why_not(suite);
  if (!found.value && found.why.empty())
    found.why = "no peer is installed that does this (tools/bench-setup)";
  return found;
}

TargetRow& Judge::row(int number, const std::string& what, std::initializer_list<const Found*> needed) {
  TargetRow& row = rows_.emplace_back();
  row.number = number;
  row.what = what;
  for (const Found* found : needed) {
    if (!found->value && row.why.empty()) row.why = found->why;
    row.disturbed |= found->disturbed;
  }
  return row;
}

void Judge::ratio(int number, const std::string& what, const std::string& figure, const Found& ours,
                  const Found& theirs, Bound bound, double line, const std::string& of) {
  TargetRow& row = this->row(number, what, {&ours, &theirs});
  row.target = fmt::format("{} of {}", line_text(bound, ratio_text(line)), of);
  if (!row.why.empty()) return;
  if (*theirs.value == 0) {
    row.why = theirs.subject + " measured 0";
    return;
  }
  const double measured = *ours.value / *theirs.value;
  row.measured = fmt::format("{}: {}, {} {}", ratio_text(measured), figure_text(figure, *ours.value),
                             theirs.subject, figure_text(figure, *theirs.value));
  row.verdict = verdict_of(measured, bound, line);
}

void Judge::difference_ns(int number, const std::string& what, const Found& ours, const Found& theirs,
                          double most_ns, const std::string& over) {
  TargetRow& row = this->row(number, what, {&ours, &theirs});
  row.target = fmt::format("at most {} over {}", figure_text("_ns", most_ns), over);
  if (!row.why.empty()) return;
  const double measured = *ours.value - *theirs.value;
  row.measured = fmt::format("{}: {}, {} {}", figure_text("_ns", measured), figure_text("_ns", *ours.value),
                             theirs.subject, figure_text("_ns", *theirs.value));
  row.verdict = verdict_of(measured, Bound::at_most, most_ns);
}

void Judge::value(int number, const std::string& what, const std::string& figure, const Found& ours,
                  double most) {
  TargetRow& row = this->row(number, what, {&ours});
  row.target = fmt::format("at most {}", figure_text(figure, most));
  if (!row.why.empty()) return;
  row.measured = figure_text(figure, *ours.value);
  row.verdict = verdict_of(*ours.value, Bound::at_most, most);
}

// The time that one event takes, from events a second.
Found time_each(Found found) {
  if (!found.value) return found;
  if (*found.value > 0) {
    found.value = 1e9 / *found.value;
  } else {
    found.value.reset();
    found.why = found.subject + " handled nothing";
  }
  return found;
}

}  // namespace sluice::bench
