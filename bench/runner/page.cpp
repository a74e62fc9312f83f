// SPDX-License-Identifier: Apache-2.0
// The frame of a page: what comes after what.

#include "page.hpp"

#include <fmt/format.h>

#include "figure_text.hpp"
#include "groups.hpp"
#include "page_data.hpp"
#include "page_tables.hpp"
#include "run.hpp"
#include "tables.hpp"
#include "targets.hpp"

namespace sluice::bench {
namespace {

std::string question_of(const std::string& suite) {
  for (const Suite& each : all_suites()) {
    if (each.name == suite) return std::string{each.question};
  }
  return {};
}

std::string navigation(const Report& report, bool compares) {
  std::string text = R"(<nav aria-label="Parts of this page"><a href="#targets">Targets</a>)";
  if (compares) text += R"(<a href="#comparison">Comparison</a>)";
  for (const SuiteResult& suite : report.suites)
    text += fmt::format(R"(<a href="#suite-{0}">{0}</a>)", escaped(suite.name));
  return text + R"(<a href="#machine">Machine</a></nav>)";
}

std::string header(const Report& report, bool compares) {
  std::string machine;
  for (const auto& [name, value] : report.machine.facts) {
    if (name == "cpu") machine = value;
  }
  std::string text = fmt::format(
      "<header><h1>Sluice benchmarks</h1><p class=\"faint\">{}, version {}, commit {}{}<br>{}</p>",
      escaped(report.date), escaped(report.version), escaped(report.commit),
      report.quick ? ", <strong>a quick run: no figures to believe</strong>" : "", escaped(machine));
  text += navigation(report, compares);
  text += fmt::format("<p>{}</p>", escaped(summary(report)));
  text +=
      "<p>A bar or a dot is the median of the rounds; the thin line through it goes from the least to the "
      "most. "
      "What was set up alike stands together and is compared. Figures drift between machines and hours: read "
      "ratios within one run.</p>"
      R"(<p class="key"><span class="ours">ours</span> <span class="limit">limit: what the machine can do at all</span> )"
      R"(<span class="baseline">baseline: the plain way, without what we promise</span> <span class="peer">peer: another product</span></p></header>)";
  return text;
}

std::string group_section(const Group& group, std::size_t suite, std::size_t number) {
  std::size_t benchmarks = 0;
  for (const Setup& setup : group.setups)
    benchmarks += setup.rows.size();
  return fmt::format(
      R"(<details class="group"{}><summary><span class="title">{}</span> <span class="faint">{} benchmark{}; {}</span></summary>)"
      R"(<div class="charts" data-suite="{}" data-group="{}"></div>)"
      R"(<details class="plain"><summary>As a table</summary>{}</details></details>)",
      number == 0 ? " open" : "", escaped(group.name), benchmarks, benchmarks == 1 ? "" : "s",
      escaped(heading(group.figure)), suite, number, group_table(group));
}

std::string suite_section(const SuiteResult& suite, std::size_t number) {
  std::string text = fmt::format(R"(<section id="suite-{0}"><h2>{0}</h2><p>{1}</p>)", escaped(suite.name),
                                 escaped(question_of(suite.name)));
  if (suite.outcome != Outcome::completed)
    text += fmt::format(R"(<p class="warning">{}</p>)", escaped(name_of(suite.outcome)));
  if (!suite.words.empty()) text += fmt::format("<pre>{}</pre>", escaped(suite.words));
  const std::vector<Group> groups = grouped(suite);
  for (std::size_t i = 0; i < groups.size(); ++i)
    text += group_section(groups[i], number, i);
  return text + "</section>";
}

}  // namespace

std::string page(const Report& report, const Report* before) {
  const PageParts parts = page_parts();
  std::string text = fmt::format(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">"
      "<meta name=\"color-scheme\" content=\"light dark\">"
      "<title>Sluice benchmarks, {}</title>\n<style>\n{}</style></head>\n<body>",
      escaped(report.date), parts.style);
  text += header(report, before != nullptr);
  text += R"(<main><section id="targets"><h2>Targets</h2>)" + targets_section(targets(report)) + "</section>";
  if (before != nullptr)
    text += R"(<section id="comparison"><h2>Comparison</h2>)" + differences_section(*before, report) +
            "</section>";
  for (std::size_t i = 0; i < report.suites.size(); ++i)
    text += suite_section(report.suites[i], i);
  text += R"(<section id="machine"><h2>Machine</h2>)" + machine_section(report) + "</section></main>";
  text += fmt::format("\n<script type=\"application/json\" id=\"chart-data\">{}</script>\n",
                      chart_data(report, before));
  text += fmt::format("<script>{}</script>\n<script>\n{}</script></body></html>\n", parts.chart_library,
                      parts.script);
  return text;
}

}  // namespace sluice::bench
