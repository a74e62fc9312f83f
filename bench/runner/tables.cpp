// SPDX-License-Identifier: Apache-2.0
// The tables: results by group, targets, differences.

#include "tables.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include <fmt/format.h>

#include "figure_text.hpp"
#include "groups.hpp"
#include "terminal.hpp"

namespace sluice::bench {
namespace {

constexpr double kNoticeable = 0.03;
constexpr std::array<std::string_view, 5> kTails = {"p90_ns", "p99_ns", "p99.9_ns", "p99.99_ns", "max_ns"};

constexpr std::size_t kNameWidth = 25;
constexpr std::size_t kMedianWidth = 10;
constexpr std::size_t kRangeWidth = 17;
constexpr std::size_t kDisturbedWidth = 4;
constexpr std::array<std::size_t, 3> kRatioWidths = {7, 10, 7};
constexpr std::size_t kDifferenceWidth = 30;  // The names of what is compared.

bool is_tail(std::string_view figure) noexcept {
  return std::ranges::find(kTails, figure) != kTails.end();
}

Look look_of(double ratio, std::string_view figure) noexcept {
  if (ratio > 1 - kNoticeable && ratio < 1 + kNoticeable) return Look::plain;
  return (ratio > 1) == more_is_better(figure) ? Look::good : Look::bad;
}

// Goes on below, under the columns.
std::string next_line(std::size_t indent) {
  std::string text(indent + 1, ' ');
  text.front() = '\n';
  return text;
}

std::string plural(std::size_t count, std::string_view noun) {
  return fmt::format("{} {}{}", count, noun, count == 1 ? "" : "s");
}

class ResultsText {
 public:
  explicit ResultsText(bool colours) : pen_{colours} {}

  void add(const SuiteResult& suite);
  std::string take() { return without_trailing_blanks(text_); }

 private:
  void add(const Group& group);
  void add_row(const Row& row, const std::string& name, std::size_t indent);
  void add_tails(const Group& group);

  Pen pen_;
  std::string text_;
};

// A setup with one row needs no heading of its own.
std::string row_name(const Setup& setup, const Row& row) {
  const std::string subject = row.benchmark->name.subject_text();
  return setup.rows.size() > 1 || setup.parameters.empty() ? subject : subject + " " + setup.parameters;
}

void ResultsText::add(const SuiteResult& suite) {
  if (!text_.empty()) text_ += "\n";
  text_ += pen_.text(suite.name, Look::bold);
  if (suite.outcome == Outcome::completed) {
    text_ += fmt::format(", {} in {:.0f} s\n", plural(suite.benchmarks.size(), "benchmark"), suite.seconds);
  } else {
    text_ += fmt::format(": {}\n", pen_.text(name_of(suite.outcome), Look::bad));
  }
  if (!suite.words.empty()) text_ += wrapped(suite.words, 2, kColumns);
  for (const Group& group : grouped(suite))
    add(group);
}

void ResultsText::add(const Group& group) {
  text_ +=
      std::string{"\n"} + pen_.left(fmt::format("  {}: {}", group.name, heading(group.figure)), kNameWidth);
  // A long heading has its line for itself.
  if (group.name.size() + heading(group.figure).size() + 4 > kNameWidth) text_ += next_line(kNameWidth);
  text_ += pen_.right("median", kMedianWidth, Look::faint) + pen_.right("spread", kRangeWidth, Look::faint) +
           std::string(kDisturbedWidth, ' ') + pen_.right("/limit", kRatioWidths[0], Look::faint) +
           pen_.right("/baseline", kRatioWidths[1], Look::faint) +
           pen_.right("/peer", kRatioWidths[2], Look::faint) + "\n";
  for (const Setup& setup : group.setups) {
    const bool headed = setup.rows.size() > 1 && !setup.parameters.empty();
    if (headed) text_ += "    " + setup.parameters + "\n";
    for (const Row& row : setup.rows)
      add_row(row, row_name(setup, row), headed ? 6 : 4);
  }
  add_tails(group);
}

void ResultsText::add_row(const Row& row, const std::string& name, std::size_t indent) {
  const Benchmark& benchmark = *row.benchmark;
  const Look look = benchmark.name.kind == Kind::ours ? Look::bold : Look::plain;
  const std::string start = std::string(indent, ' ') + name;
  text_ += std::string(indent, ' ') + pen_.left(name, kNameWidth - indent, look);
  if (start.size() >= kNameWidth) text_ += next_line(kNameWidth);
  if (!row.spread) {
    const std::string fault = benchmark.fault();
    text_ += "  not measured\n" + wrapped(fault.empty() ? "it gave no figures" : fault, indent + 2, kColumns);
    return;
  }
  text_ += pen_.right(figure_text(row.figure, row.spread->median), kMedianWidth) +
           pen_.right(range_text(row.figure, row.spread->least, row.spread->most), kRangeWidth, Look::faint);
  const std::size_t disturbed = disturbed_rounds(benchmark);
  text_ += pen_.right(disturbed == 0 ? "" : fmt::format("{}!", disturbed), kDisturbedWidth, Look::warning);
  const std::array ratios = {row.to_limit, row.to_baseline, row.to_best_peer};
  for (std::size_t i = 0; i < ratios.size(); ++i) {
    const bool shown = ratios[i].has_value();
    text_ += pen_.right(shown ? ratio_text(*ratios[i]) : "", kRatioWidths[i],
                        shown ? look_of(*ratios[i], row.figure) : Look::plain);
  }
  text_ += "\n";
  std::string others;
  for (const std::string& figure : telling_figures(benchmark)) {
    if (figure == row.figure || is_tail(figure) || figure == "items_per_second") continue;
    others += fmt::format("{}{} {}", others.empty() ? "" : ", ", figure,
                          figure_text(figure, spread_of(benchmark, figure)->median));
  }
  if (!benchmark.label.empty()) others = benchmark.label + (others.empty() ? "" : "; ") + others;
  if (!others.empty()) text_ += wrapped(others, indent + 2, kColumns);
  const std::string fault = benchmark.fault();
  if (!fault.empty()) text_ += wrapped("a round failed: " + fault, indent + 2, kColumns);
}

void ResultsText::add_tails(const Group& group) {
  std::string lines;
  for (const Setup& setup : group.setups) {
    for (const Row& row : setup.rows) {
      std::string cells;
      bool any = false;
      for (const std::string_view tail : kTails) {
        const std::optional<Spread> spread = spread_of(*row.benchmark, tail);
        any |= spread.has_value();
        cells += pen_.right(spread ? figure_text(tail, spread->median) : "", kMedianWidth + 1);
      }
      if (!any) continue;
      std::string name = row.benchmark->name.subject_text();
      if (!setup.parameters.empty()) name += " " + setup.parameters;
      lines += std::string{"    "} + pen_.left(name, kNameWidth - 4);
      lines += (name.size() + 4 >= kNameWidth ? next_line(kNameWidth) : "") + cells + "\n";
    }
  }
  if (lines.empty()) return;
  text_ += '\n';
  const std::string title = fmt::format("  {}: the tail, medians", group.name);
  text_ += pen_.left(title, kNameWidth);
  if (title.size() >= kNameWidth) text_ += next_line(kNameWidth);
  for (const std::string_view tail : kTails)
    text_ += pen_.right(tail.substr(0, tail.find('_')), kMedianWidth + 1, Look::faint);
  text_ += "\n";
  text_ += lines;
}

Look look_of(Verdict verdict) noexcept {
  if (verdict == Verdict::holds) return Look::good;
  return verdict == Verdict::falls_short ? Look::bad : Look::faint;
}

}  // namespace

std::string results_table(const Report& report, bool colours) {
  ResultsText text{colours};
  for (const SuiteResult& suite : report.suites)
    text.add(suite);
  return text.take();
}

std::string targets_table(const std::vector<TargetRow>& rows, bool colours) {
  const Pen pen{colours};
  constexpr std::size_t kVerdict = 13;
  constexpr std::size_t kWhat = 32;
  std::string text;
  int number = 0;
  for (const TargetRow& row : rows) {
    if (row.number != number) {
      number = row.number;
      text += fmt::format("{}{}. {}\n", text.empty() ? "" : "\n", number, title_of_target(number));
    }
    text += fmt::format("  {} {}", pen.left(name_of(row.verdict), kVerdict, look_of(row.verdict)),
                        pen.left(row.what, kWhat));
    const bool fits = row.what.size() < kWhat && kVerdict + kWhat + 3 + row.target.size() <= kColumns;
    if (!fits) text += "\n";
    text += wrapped(row.target, fits ? 0 : kVerdict + 3, kColumns);
    const std::string detail = row.verdict == Verdict::not_measured ? row.why : row.measured;
    text += wrapped(detail + (row.disturbed ? " (disturbed)" : ""), 16, kColumns);
  }
  std::array<std::size_t, 3> counts{};
  for (const TargetRow& row : rows)
    ++counts[static_cast<std::size_t>(row.verdict)];
  return without_trailing_blanks(text) +
         fmt::format("\n{} of {} hold, {} fall short, {} were not measured.\n", counts[0], rows.size(),
                     counts[1], counts[2]);
}

std::string differences_table(const Report& before, const Report& after, bool colours) {
  const Pen pen{colours};
  std::string text =
      fmt::format("Compared with {} (commit {}): new divided by old.\n", before.date, before.commit);
  for (const std::string& caveat : caveats(before, after))
    text += wrapped("Mind: " + caveat, 2, kColumns);
  text += std::string{"\n  "} + pen.left("", kDifferenceWidth) + pen.right("old", 11) + pen.right("new", 11) +
          pen.right("ratio", 8) + pen.right("/baseline", 10) + "\n";
  std::string suite;
  std::size_t beyond = 0;
  const std::vector<Difference> all = differences(before, after);
  for (const Difference& each : all) {
    beyond += each.beyond_noise ? 1 : 0;
    if (!each.main && !each.beyond_noise) continue;
    if (each.suite != suite) text += pen.text(each.suite, Look::bold) + "\n";
    suite = each.suite;
    const std::string name = each.name.text() + (each.main ? "" : " " + each.figure);
    if (name.size() < kDifferenceWidth)
      text += std::string{"  "} + pen.left(name, kDifferenceWidth);
    else
      text += wrapped(name, 2, kColumns) + std::string(kDifferenceWidth + 2, ' ');
    text += pen.right(figure_text(each.figure, each.before.median), 11) +
            pen.right(figure_text(each.figure, each.after.median), 11) +
            pen.right(ratio_text(each.ratio), 8) +
            pen.right(each.relative > 0 ? ratio_text(each.relative) : "", 10) + "  ";
    text += each.beyond_noise
                ? pen.text(each.better ? "better" : "worse", each.better ? Look::good : Look::bad)
                : pen.text("noise", Look::faint);
    text += "\n";
  }
  if (all.empty()) text += "  They have no benchmark in common.\n";
  text += "\n";
  text += wrapped(fmt::format("{} of {} figures differ by more than the noise: every round of one run "
                              "is better than every round of the other "
                              "(by chance once in 126). \"/baseline\": the same ratio, each figure "
                              "first divided by its own run's "
                              "baseline or limit, which a drift of the machine meets as well.",
                              beyond, all.size()),
                  0, kColumns);
  const std::size_t gone = only_in_first(before, after).size();
  const std::size_t added = only_in_first(after, before).size();
  if (gone + added > 0)
    text += wrapped(fmt::format("Only in the old run: {}; only in the new one: {}.",
                                plural(gone, "benchmark"), plural(added, "benchmark")),
                    0, kColumns);
  return without_trailing_blanks(text);
}

std::string summary(const Report& report) {
  std::size_t benchmarks = 0;
  std::size_t rounds = 0;
  std::size_t disturbed = 0;
  for (const SuiteResult& suite : report.suites) {
    benchmarks += suite.benchmarks.size();
    for (const Benchmark& benchmark : suite.benchmarks) {
      rounds += benchmark.rounds.size();
      disturbed += disturbed_rounds(benchmark);
    }
  }
  std::string text = fmt::format("{}, {}, {}: medians, and the least and the most as spread. ",
                                 plural(report.suites.size(), "suite"), plural(benchmarks, "benchmark"),
                                 plural(rounds, "round"));
  if (const std::optional<double> trip = usual_line_trip_ns(report.suites))
    text += fmt::format("In most rounds a cache line took {:.0f} ns between two units and back. ", *trip);
  if (disturbed > 0) {
    text += fmt::format(
        "In {} (marked 1!, 2!, ...) others took more than {:g} % of the machine, or a line took {:g} times "
        "as long as mostly, or as little, which is left out of the medians if there are any others.",
        disturbed, kDisturbedPercent, kOdd);
  } else if (rounds > 0) {
    text += fmt::format("In no round did others take more than {:g} % of the machine.", kDisturbedPercent);
  }
  return wrapped(text, 0, kColumns);
}

}  // namespace sluice::bench
