// SPDX-License-Identifier: Apache-2.0
// `sluice top`: what it shows, as text.
#include <algorithm>
#include <utility>

#include <sluice/detail/clock.hpp>
#include <sluice/printable.hpp>

#include "fold.hpp"
#include "observer/stage_table.hpp"
#include "top/screen.hpp"
#include "watched.hpp"

namespace sluice::test {
namespace {

using command::top_screen;
using command::TopOrder;
using command::TopView;
using testing::AllOf;
using testing::ContainsRegex;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;
using testing::StartsWith;

Stats two_stages() {
  Stats stats;
  stats.pipeline = "made up";
  stats.state = "running";
  for (const char* name : {"read", "parse"}) {
    StageStats stage;
    stage.name = name;
    for (int number = 0; number < 2; ++number) {
      WorkerStats worker;
      worker.name = std::string{name} + "/" + std::to_string(number);
      worker.pid = 100 + number;
      worker.verdict = "busy";
      stage.workers.push_back(worker);
    }
    stats.stages.push_back(stage);
  }
  stats.stages[1].workers[1].restarts = 3;
  stats.stages[1].workers[1].last_death = "crashed";
  stats.stages[1].workers[1].last_signal = 11;
  return stats;
}

using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

// What is known a minute after the start of `stats`.
struct Known {
  explicit Known(Stats the_stats = two_stages()) : stats{std::move(the_stats)} {
    happenings.look(stats, kNow, kWall);
  }
  command::TopScreen screen(const TopView& view = {}) const {
    return top_screen({{}, stats, rates, happenings, samples, kNow}, view);
  }

  static constexpr std::chrono::nanoseconds kNow = 60s;
  static inline const command::WallTime kWall = std::chrono::system_clock::from_time_t(1'795'000'000);
  Stats stats;
  detail::Rates rates{1s};
  command::Happenings happenings;
  std::vector<std::string> samples{};
};

std::string text_of(const std::vector<command::TopLine>& lines) {
  std::string text;
  for (const command::TopLine& line : lines)
    text += line.text + "\n";
  return text;
}

std::string longest_of(const std::vector<command::TopLine>& lines) {
  const auto longest = std::ranges::max_element(lines, {}, [](const auto& line) { return line.text.size(); });
  return longest == lines.end() ? "" : longest->text;
}

std::vector<std::string> names_shown(TopView view) {
  view.latency = false;
  std::vector<std::string> names;
  for (const command::TopLine& line : Known{}.screen(view).rows)
    names.push_back(line.text.substr(0, line.text.find(' ', line.text.find_first_not_of(' '))));
  return names;
}

TEST(TopScreen, HasWorkersBelowTheirStages) {
  EXPECT_THAT(names_shown({}),
              ElementsAre("read", "  read/0", "  read/1", "parse", "  parse/0", "  parse/1"));
  EXPECT_THAT(names_shown({.workers = false}), ElementsAre("read", "parse"));
}

TEST(TopScreen, IsSortedAndFiltered) {
  EXPECT_THAT(names_shown({.order = TopOrder::restarts}),
              ElementsAre("parse", "  parse/1", "  parse/0", "read", "  read/0", "  read/1"));
  EXPECT_THAT(names_shown({.filter = "e/1"}), ElementsAre("parse", "  parse/1"));
  EXPECT_THAT(names_shown({.filter = "nothing"}), ElementsAre());
}

TEST(TopScreen, SaysWhatAWorkerDiedOfBehindItsLineOrBelowWhereThatIsTooLong) {
  const std::string said = "last death 48 s ago: crashed, signal 11 (Segmentation fault)";
  Known known;
  known.stats.stages[1].workers[1].lives.push_back({.incarnation = 4, .predecessor_dead = 12s});
  EXPECT_THAT(text_of(known.screen().rows), ContainsRegex("\n  parse/1 [^\n]*  " + said.substr(0, 22)));
  const command::TopScreen narrow = known.screen({.columns = 80});
  EXPECT_THAT(text_of(narrow.rows), AllOf(HasSubstr("\n    " + said + "\n"), HasSubstr("\n  parse/1 ")));
  EXPECT_LE(longest_of(narrow.rows).size(), 80U) << longest_of(narrow.rows);
  EXPECT_LE(longest_of(narrow.head).size(), static_cast<std::size_t>(command::kTopWholeColumns));
}

TEST(TopScreen, HasANarrowTableForATerminalOf40Columns) {
  Known known;
  known.stats.stages[1].workers[1].lives.push_back({.incarnation = 4, .predecessor_dead = 12s});
  for (const std::size_t columns : {40U, 60U, 77U}) {
    const command::TopScreen narrow =
        command::folded_screen(known.screen({.columns = columns, .narrow = true}), columns);
    for (const auto* lines : {&narrow.head, &narrow.rows, &narrow.events})
      EXPECT_LE(longest_of(*lines).size(), columns) << longest_of(*lines);
    EXPECT_THAT(text_of(narrow.head), HasSubstr("\nstage/worker  state           rate busy\n"));
    EXPECT_THAT(text_of(narrow.rows), ContainsRegex("\n parse/1 +[a-z]+ +[^ \n]+( k/s|/s)? +[-0-9%]+\n"));
    EXPECT_THAT(text_of(narrow.rows), HasSubstr("last death 48 s ago: crashed"));
  }
}

TEST(TopScreen, BeginsWithWhatIsWrongAndFitsWithTheLongestPids) {
  Known known;
  known.stats.host = known.stats.supervisor = known.stats.master = 4'194'303;
  known.stats.problem_count = 12;
  const command::TopScreen screen = known.screen({.columns = 80});
  EXPECT_THAT(screen.head[1].text, StartsWith("dead letters 0, problems 12; host 4194303, "));
  EXPECT_LE(longest_of(screen.head).size(), static_cast<std::size_t>(command::kTopWholeColumns))
      << longest_of(screen.head);
}

TEST(TopScreen, SaysWhatTheBottleneckIsAndWhyOn80Columns) {
  Known known;
  for (WorkerStats& worker : known.stats.stages[0].workers)
    worker.time = {100s, 2s, 0s, 92s, 0s};
  for (WorkerStats& worker : known.stats.stages[1].workers) {
    worker.time = {100s, 3s, 0s, 0s, 97s};
    worker.outside = "postgres: db.example.org, port 5432: Connection refused";
  }
  known.stats.flows = {{"read", "parse", 1, 0}};
  std::string head;
  for (const command::TopLine& line : known.screen({.columns = 80}).head) {
    EXPECT_LE(line.text.size(), 80U) << line.text;
    head += line.text.substr(line.text.find_first_not_of(' ')) + " ";
  }
  EXPECT_THAT(head, HasSubstr("parse is the bottleneck: it waits 97 % for the outside (postgres: "
                              "db.example.org, port 5432: Connection refused), read waits 92 % for it (since "
                              "the start)"));
}

TEST(TopScreen, CutsANameThatWouldMoveTheColumns) {
  Known known;
  known.stats.stages[0].name = std::string(64, 'n');
  known.stats.stages[0].workers[0].name = std::string(64, 'n') + "/0";
  known.samples = {"100", "100"};
  EXPECT_LE(longest_of(known.screen({.columns = 80}).rows).size(), 80U);
}

TEST(TopScreen, FoldsWhatATerminalHasNoRoomForAndLosesNothing) {
  Known known;
  known.samples = {"100", "100"};
  known.stats.stages[1].handler.count = known.stats.stages[1].lane.count = 7;
  const auto words = [](std::string text) {
    std::erase_if(text, [](char c) { return c == ' ' || c == '\n'; });
    return text;
  };
  for (const std::size_t columns :
       {std::size_t{20}, std::size_t{40}, std::size_t{60}, std::size_t{77}, std::size_t{80}}) {
    const command::TopScreen screen = known.screen({.columns = columns});
    for (const auto* part : {&screen.head, &screen.rows, &screen.events}) {
      const std::vector<command::TopLine> narrow = folded(*part, columns);
      EXPECT_LE(longest_of(narrow).size(), columns) << text_of(narrow);
      EXPECT_EQ(words(text_of(narrow)), words(text_of(*part)));
    }
  }
  // What stands below one another in the table still does.
  EXPECT_THAT(text_of(folded(known.screen({.columns = 40}).rows, 40)),
              HasSubstr("\n  parse/1          busy\n            -   0%    -    -    -      3\n       0\n"));
}

TEST(Folding, GoesOnALittleFurtherInThanTheLineBegins) {
  EXPECT_THAT(command::fold("   it waits for the database", 20),
              testing::ElementsAre("   it waits for the", "     database"));
  EXPECT_THAT(command::fold("               far in and long", 20),
              testing::ElementsAre("               far", "       in and long"))
      << "as far as there is room";
  EXPECT_THAT(command::fold("it waits for the database", 20),
              testing::ElementsAre("it waits for the", "  database"));
}

TEST(TopScreen, HasTheLatenciesOfEachStageOrSaysWhyNot) {
  Known known;
  known.samples = {"off", "off"};
  EXPECT_THAT(text_of(known.screen().rows), HasSubstr("latency: - (latency.sample is off"));
  EXPECT_THAT(text_of(known.screen({.latency = false}).rows), Not(HasSubstr("latency")));
  known.stats.stages[0].handler = {
      .count = 7, .sum = 70ms, .p50 = 1230ns, .p90 = 4500us, .p99 = 11ms, .p999 = 12ms, .most = 75s};
  known.samples = {"100", "100"};
  EXPECT_THAT(text_of(known.screen().rows),
              AllOf(ContainsRegex("\nread  .* - .* 1.23 us +4.5 ms +11 ms +1.25 min\n"),
                    ContainsRegex("\nparse +- none was timed yet\n")));
  known.samples = {"100", "off"};
  EXPECT_THAT(text_of(known.screen().rows), ContainsRegex("\nparse +- latency.sample is off\n"));
  // Of the last stage.
  known.stats.stages[1].end_to_end = {
      .count = 7, .sum = 70ms, .p50 = 1230ns, .p90 = 4500us, .p99 = 11ms, .p999 = 12ms, .most = 75s};
  EXPECT_THAT(text_of(known.screen().rows),
              ContainsRegex("\n +1.23 us +4.5 ms +11 ms +1.25 min from end to end\n"));
  EXPECT_LE(longest_of(known.screen({.columns = 80}).rows).size(), 80U);
}

TEST(ATime, IsToldInThreeDigits) {
  EXPECT_EQ(detail::time_text(0ns), "0 ns");
  EXPECT_EQ(detail::time_text(999'400ns), "999 us");
  EXPECT_EQ(detail::time_text(999'600ns), "1 ms");
  EXPECT_EQ(detail::time_text(90s), "1.5 min");
  EXPECT_EQ(detail::time_text(48h), "2 d");
}

// A line of deaths.jsonl, so many seconds after the start.
std::string report_line(const std::string& kind, int seconds, const std::string& fields,
                        const std::string& pipeline = "made up") {
  const auto at = Known::kWall - 60s + std::chrono::seconds{seconds};
  return R"({"schema":2,"report":")" + kind + R"(","time":")" + detail::utc_text(at) + R"(","pipeline":)" +
         json_text(pipeline) + R"(,"version":"1",)" + fields + "}";
}

TEST(WhatHappened, IsToldFromTheReportsOfThisLifeOfThisPipeline) {
  Known known;
  known.happenings.add(
      {report_line(
           "death", 30,
           R"("worker":"parse/1","cause":"threw","signal":0,"message":"bad \"line\"\u001b","event":"7.1:4",)"
           R"("position":4,"attempts":2,"restarts":1,"backtrace":["a\\b","]"])"),
       report_line("place", 20, R"("worker":"read/0","units":"1","found":"3","did":"put back","error":"")"),
       report_line("stall", 25, R"("worker":"read/0","own_time_ms":5100,"deadline_ms":5000)"),
       report_line("death", 31, R"("worker":"parse/0","cause":"killed","signal":9)", "another"),
       report_line("death", -100, R"("worker":"parse/0","cause":"killed","signal":9)"),
       "{\"schema\":2,\"repo", "no JSON at all"});
  EXPECT_THAT(text_of(known.screen({.latency = false}).events),
              MatchesRegex("what happened [^\n]*\n"
                           "..:..:......  ?parse/1 died: threw: bad \"line\".x1b; event 7.1:4, attempt 2\n"
                           "[^\n]*read/0 stalls: 5100 ms in one event, 5000 ms are allowed\n"
                           "[^\n]*read/0 found on units 3 instead of 1: put back\n"));
  EXPECT_THAT(std::string{known.happenings.cause_of("parse/1")}, StartsWith("threw: bad \"line\"\\x1b"));
}

TEST(WhatHappened, IsToldFromTheCountersWhereNoReportIs) {
  Known known;
  EXPECT_EQ(text_of(known.screen().events), "what happened (UTC)\nnothing\n");
  WorkerStats& worker = known.stats.stages[1].workers[1];
  worker.restarts = 4;
  worker.lives.push_back({.incarnation = 5, .predecessor_dead = 59s});
  worker.dead_letters = 1;
  known.stats.masters = 2;
  known.stats.problem_count = 1;
  known.stats.problems = {"parse/1: odd"};
  known.happenings.look(known.stats, known.kNow + 1s, known.kWall + 1s);
  EXPECT_THAT(
      text_of(known.screen().events),
      AllOf(HasSubstr("parse/1 died: crashed, signal 11 (Segmentation fault)\n"),
            HasSubstr("parse/1 1 event moved to the dead letters, 1 so far\n"),
            HasSubstr("the master was replaced; this is number 2\n"), HasSubstr("problem: parse/1: odd\n")));
  const std::size_t told = known.happenings.all().size();
  known.happenings.look(known.stats, known.kNow + 2s, known.kWall + 2s);
  EXPECT_EQ(known.happenings.all().size(), told) << "nothing twice";
  known.happenings.add(
      {report_line("death", 59, R"("worker":"parse/1","cause":"crashed","signal":11,"attempts":1)")});
  EXPECT_EQ(known.happenings.all().size(), told) << "the report takes the place of what was counted";
}

TEST(WhatHappened, IsBounded) {
  Known known;
  for (int i = 0; i < 1000; ++i)
    known.happenings.add({report_line("stall", i, R"("worker":"read/0","own_time_ms":1,"deadline_ms":1)")});
  EXPECT_EQ(known.happenings.all().size(), command::Happenings::kMost);
}

TEST(TopScreen, TellsWorkersOfALongNameApart) {
  Known known;
  const std::string name(64, 'n');
  known.stats.stages[0].name = name;
  known.stats.stages[0].workers[0].name = name + "/0";
  known.stats.stages[0].workers[1].name = name + "/17";
  known.happenings.add(
      {report_line("stall", 0, R"("worker":")" + name + R"(/17","own_time_ms":1,"deadline_ms":1)")});
  const command::TopScreen wide = known.screen({.columns = 80});
  EXPECT_THAT(text_of(wide.rows),
              AllOf(HasSubstr("  nnnnnnnnnnnnn~/0 busy"), HasSubstr("  nnnnnnnnnnnn~/17 busy")));
  EXPECT_THAT(text_of(wide.events), HasSubstr(" nnnnnnnnnnnnnnnn~/17 stalls: 1 ms in one event"));
  EXPECT_THAT(text_of(known.screen({.columns = 40, .narrow = true}).rows), HasSubstr(" nnnnnnnn~/17 busy"));
  EXPECT_THAT(text_of(known.screen().events), HasSubstr(name + "/17 stalls")) << "for a program";
}

TEST(TopScreen, GivesWhatHappenedAThirdAndWhatTheRowsLeave) {
  Known known;
  for (int i = 0; i < 100; ++i)
    known.happenings.add({report_line("stall", i, R"("worker":"read/0","own_time_ms":1,"deadline_ms":1)")});
  const command::TopScreen screen = known.screen();
  std::size_t first = 1000;
  EXPECT_EQ(command::laid_out(screen, 7, first).size(), 7U) << "no room";
  for (const std::size_t lines : {16U, 23U, 39U, 200U}) {
    const std::string text = text_of(command::laid_out(screen, lines, first));
    EXPECT_EQ(static_cast<std::size_t>(std::ranges::count(text, '\n')),
              std::min<std::size_t>(lines, screen.head.size() + screen.rows.size() + screen.events.size()));
    EXPECT_THAT(text, HasSubstr("what happened"));
    EXPECT_EQ(text.find("what happened"), text.rfind("what happened"));
  }
  EXPECT_EQ(first, 0U) << "all rows fit";
}

}  // namespace
}  // namespace sluice::test
