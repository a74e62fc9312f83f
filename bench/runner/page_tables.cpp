// SPDX-License-Identifier: Apache-2.0
// Rows and cells. Every cell carries its heading, so that a narrow screen can show a row as a card.

#include "page_tables.hpp"

#include <array>
#include <cstddef>
#include <optional>

#include <fmt/format.h>

#include "compare.hpp"
#include "figure_text.hpp"

namespace sluice::bench {
namespace {

constexpr std::array<std::string_view, 5> kTails = {"p90_ns", "p99_ns", "p99.9_ns", "p99.99_ns", "max_ns"};

std::string cell(std::string_view heading, const std::string& text, std::string_view classes = "number") {
  if (text.empty()) return R"(<td class="none"></td>)";
  return fmt::format(R"(<td class="{}" data-heading="{}">{}</td>)", classes, escaped(heading), escaped(text));
}

std::string head(std::initializer_list<std::string_view> headings, std::string_view classes = "number") {
  std::string text = "<thead><tr>";
  bool first = true;
  for (const std::string_view each : headings) {
    text += fmt::format(R"(<th scope="col"{}>{}</th>)", first ? "" : fmt::format(R"( class="{}")", classes),
                        escaped(each));
    first = false;
  }
  return text + "</tr></thead>";
}

std::string name_cell(std::string_view text, std::string_view classes = "") {
  return fmt::format(R"(<th scope="row" class="{}">{}</th>)", classes, escaped(text));
}

std::string ratio_cell(std::string_view heading, std::optional<double> ratio) {
  return cell(heading, ratio ? ratio_text(*ratio) : "");
}

std::string_view kind_class(const Row& row) noexcept {
  constexpr std::array<std::string_view, 4> kClasses = {"ours", "limit", "baseline", "peer"};
  return kClasses[static_cast<std::size_t>(row.benchmark->name.kind)];
}

std::string setup_row(const Setup& setup, std::size_t columns) {
  if (setup.parameters.empty()) return "";
  return fmt::format(R"(<tr class="setup"><th scope="rowgroup" colspan="{}">{}</th></tr>)", columns,
                     escaped(setup.parameters));
}

std::string others_of(const Row& row) {
  std::string text = row.benchmark->label;
  for (const std::string& figure : telling_figures(*row.benchmark)) {
    bool told = figure == row.figure || figure == "items_per_second";
    for (const std::string_view tail : kTails)
      told |= figure == tail;
    if (told) continue;
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", figure,
                        figure_text(figure, spread_of(*row.benchmark, figure)->median));
  }
  return text;
}

std::string result_row(const Row& row) {
  std::string text = "<tr>" + name_cell(row.benchmark->name.subject_text(), kind_class(row));
  if (!row.spread) {
    const std::string fault = row.benchmark->fault();
    return text + fmt::format(R"(<td colspan="6" class="fault">not measured: {}</td></tr>)",
                              escaped(fault.empty() ? "it gave no figures" : fault));
  }
  const std::size_t disturbed = disturbed_rounds(*row.benchmark);
  text += cell("median", figure_text(row.figure, row.spread->median), "number strong");
  text += cell("spread", range_text(row.figure, row.spread->least, row.spread->most));
  text += cell("disturbed rounds",
               disturbed == 0 ? "" : fmt::format("{} of {}", disturbed, row.benchmark->rounds.size()));
  text += ratio_cell("/ limit", row.to_limit) + ratio_cell("/ baseline", row.to_baseline) +
          ratio_cell("/ best peer", row.to_best_peer);
  const std::string others = others_of(row);
  return text + "</tr>" +
         (others.empty() ? ""
                         : fmt::format(R"(<tr class="also"><td colspan="7">{}</td></tr>)", escaped(others)));
}

std::string tail_table(const Group& group) {
  std::string rows;
  for (const Setup& setup : group.setups) {
    std::string of_setup;
    for (const Row& row : setup.rows) {
      std::string cells;
      bool any = false;
      for (const std::string_view tail : kTails) {
        const std::optional<Spread> spread = spread_of(*row.benchmark, tail);
        any |= spread.has_value();
        cells += cell(tail.substr(0, tail.find('_')), spread ? figure_text(tail, spread->median) : "");
      }
      if (any)
        of_setup += "<tr>" + name_cell(row.benchmark->name.subject_text(), kind_class(row)) + cells + "</tr>";
    }
    if (!of_setup.empty()) rows += setup_row(setup, 6) + of_setup;
  }
  if (rows.empty()) return "";
  return "<table><caption>The tail, medians</caption>" + head({"", "p90", "p99", "p99.9", "p99.99", "max"}) +
         "<tbody>" + rows + "</tbody></table>";
}

std::string facts_table(const Facts& facts) {
  std::string text = R"(<table class="facts"><tbody>)";
  for (const auto& [name, value] : facts)
    text += "<tr>" + name_cell(name) + fmt::format("<td>{}</td></tr>", escaped(value));
  return text + "</tbody></table>";
}

std::string folded(std::string_view title, const std::string& content) {
  return fmt::format("<details class=\"plain\"><summary>{}</summary>{}</details>", escaped(title), content);
}

}  // namespace

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char character : text) {
    switch (character) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      default:
        safe += character;
    }
  }
  return safe;
}

std::string group_table(const Group& group) {
  std::string text = "<table>" + fmt::format("<caption>{}</caption>", escaped(heading(group.figure)));
  text += head({"", "median", "spread", "disturbed", "/ limit", "/ baseline", "/ best peer"}) + "<tbody>";
  for (const Setup& setup : group.setups) {
    text += setup_row(setup, 7);
    for (const Row& row : setup.rows)
      text += result_row(row);
  }
  return text + "</tbody></table>" + tail_table(group);
}

namespace {

std::string table_of_targets(const std::vector<TargetRow>& rows) {
  std::string text = "<table>" + head({"", "target", "measured", ""}, "text") + "<tbody>";
  int number = 0;
  for (const TargetRow& row : rows) {
    if (row.number != number) {
      number = row.number;
      text += fmt::format(R"(<tr class="setup"><th scope="rowgroup" colspan="4">{}. {}</th></tr>)", number,
                          escaped(title_of_target(number)));
    }
    constexpr std::array<std::string_view, 3> kClasses = {"good", "bad", "unknown"};
    const bool measured = row.verdict != Verdict::not_measured;
    text += "<tr>" + name_cell(row.what) + cell("target", row.target, "text") +
            cell("measured", (measured ? row.measured : row.why) + (row.disturbed ? " (disturbed)" : ""),
                 "text") +
            cell("", std::string{name_of(row.verdict)}, kClasses[static_cast<std::size_t>(row.verdict)]) +
            "</tr>";
  }
  return text + "</tbody></table>";
}

}  // namespace

// What was not measured is folded: after a run of one suite that is nearly all.
std::string targets_section(const std::vector<TargetRow>& rows) {
  std::array<std::vector<TargetRow>, 2> parts;
  std::size_t hold = 0;
  for (const TargetRow& row : rows) {
    parts[row.verdict == Verdict::not_measured ? 1 : 0].push_back(row);
    if (row.verdict == Verdict::holds) ++hold;
  }
  const auto& [measured, others] = parts;
  std::string text =
      fmt::format("<p>{} of the {} targets that were measured hold.</p>", hold, measured.size());
  if (measured.empty()) text = "<p>This run has measured none of the targets.</p>";
  if (!measured.empty()) text += table_of_targets(measured);
  if (!others.empty()) {
    text += fmt::format("<details class=\"plain\"><summary>{} {} not measured</summary>{}</details>",
                        others.size(), others.size() == 1 ? "target was" : "targets were",
                        table_of_targets(others));
  }
  return text;
}

std::string differences_section(const Report& before, const Report& after) {
  std::string text = fmt::format(
      "<p>This run beside the one of {} (commit {}): new divided by old. A difference exceeds the noise if "
      "every "
      "round of one run is better than every round of the other; by chance that happens once in 126 "
      "comparisons "
      "of five rounds with five. &ldquo;Own baseline&rdquo; is the same ratio after each figure was divided "
      "by its own "
      "run&rsquo;s baseline or limit, which a drift of the machine meets as well.</p>",
      escaped(before.date), escaped(before.commit));
  for (const std::string& caveat : caveats(before, after))
    text += fmt::format(R"(<p class="warning">{}</p>)", escaped(caveat));
  text += R"(<div class="charts" data-changes></div>)";
  std::string rows;
  std::string suite;
  for (const Difference& each : differences(before, after)) {
    if (each.suite != suite) {
      suite = each.suite;
      rows +=
          fmt::format(R"(<tr class="setup"><th scope="rowgroup" colspan="6">{}</th></tr>)", escaped(suite));
    }
    const std::string_view verdict = !each.beyond_noise ? "noise" : each.better ? "better" : "worse";
    const std::string_view look = !each.beyond_noise ? "unknown" : each.better ? "good" : "bad";
    const auto both = [&each](const Spread& spread) {
      return fmt::format("{} ({})", figure_text(each.figure, spread.median),
                         range_text(each.figure, spread.least, spread.most));
    };
    rows += "<tr>" + name_cell(each.name.text() + (each.main ? "" : " " + each.figure)) +
            cell("old", both(each.before)) + cell("new", both(each.after)) +
            cell("ratio", ratio_text(each.ratio), "number strong") +
            cell("own baseline", each.relative > 0 ? ratio_text(each.relative) : "") +
            cell("", std::string{verdict}, look) + "</tr>";
  }
  return text + folded("Every figure", "<table>" + head({"", "old", "new", "ratio", "own baseline", ""}) +
                                           "<tbody>" + rows + "</tbody></table>");
}

std::string machine_section(const Report& report) {
  std::string settings =
      R"(<table><thead><tr><th scope="col">setting</th><th scope="col">value</th><th scope="col">from</th></tr></thead><tbody>)";
  for (const SettingValue& each : report.settings)
    settings += "<tr>" + name_cell(each.key) + cell("value", each.value, "text") +
                cell("from", each.origin, "text") + "</tr>";
  settings += "</tbody></table>";
  return facts_table(report.machine.facts) + folded("Mitigations", facts_table(report.machine.mitigations)) +
         folded("Settings, as a suite finds them that sets none itself", settings) +
         folded("Placement", fmt::format("<pre>{}</pre>", escaped(report.placement))) +
         folded("Topology, as hwloc's XML",
                fmt::format("<pre class=\"unprinted\">{}</pre>", escaped(report.machine.hwloc_xml)));
}

}  // namespace sluice::bench
