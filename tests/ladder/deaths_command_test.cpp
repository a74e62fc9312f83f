// SPDX-License-Identifier: Apache-2.0
// `sluice deaths`: what is in deaths.jsonl, in order, by pipeline and stage, whatever else is in the file.
#include <sstream>

#include "commands.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

class DeathsCommand : public WithCommands {
 protected:
  static std::string report(const std::string& pipeline, const std::string& worker, int pid,
                            const std::string& more = "") {
    return R"({"schema":2,"report":"death","time":"2027-01-01T12:00:00.000001Z","pipeline":")" + pipeline +
           R"(","version":"0.1.0","worker":")" + worker + R"(","pid":)" + std::to_string(pid) +
           R"(,"cause":"signal","signal":11,"message":"")" + more + "}\n";
  }
  // How many lines are shown; the first names the columns.
  long listed(const std::string& arguments) const {
    const std::string out = run("sluice deaths list " + arguments + " 2>/dev/null").out;
    return std::count(out.begin(), out.end(), '\n') - 1;
  }
};

TEST_F(DeathsCommand, ListsAndShowsWhatAProgramHasReported) {
  write("lines.txt", "to be is the question\n");
  EXPECT_EQ(run("dead-letters --quiet").status, 1);
  const Ran list = run("sluice deaths list sluice-reports");
  EXPECT_EQ(list.status, 0) << list.out;
  EXPECT_THAT(list.out, ContainsRegex("number +time +pipeline +worker +report +signal +cause\n"));
  EXPECT_THAT(list.out, ContainsRegex(" 3 +20.*Z +fragile +write/0 +death +11 +crashed"));
  EXPECT_EQ(listed("sluice-reports"), 3);
  const Ran show = run("sluice deaths show sluice-reports 3");
  EXPECT_THAT(show.out, AllOf(HasSubstr("pipeline     fragile\n"), HasSubstr("attempts     3\n"),
                              HasSubstr("backtrace\n  ")));
  EXPECT_THAT(run("sluice deaths show sluice-reports 4").out, HasSubstr("there are 3 in sluice-reports"));
}

TEST_F(DeathsCommand, SaysOfEachKindOfReportWhatTellsMost) {
  const auto of_kind = [](const std::string& kind, const std::string& more) {
    return R"({"schema":2,"report":")" + kind +
           R"(","time":"2027-01-01T12:00:00.000001Z","pipeline":"one","version":"0.1.0","worker":"parse/0","pid":7,)" +
           more + "}\n";
  };
  write(
      "deaths.jsonl",
      of_kind("waiting outside", R"("outside":"the table is locked","for_ms":0,"draining":false)") +
          of_kind("stall", R"("incarnation":1,"own_time_ms":5123,"deadline_ms":5000,"call_outside":false)") +
          of_kind("place",
                  R"("units":"0","found":"0-1","times":1,"did":"refused","error":"Invalid argument")") +
          of_kind("place", R"("what":"memory","error":"Operation not permitted")") +
          of_kind("observer refused", R"("uid":1000,"refused":3)"));
  EXPECT_THAT(run("sluice deaths list .").out,
              AllOf(HasSubstr("  the table is locked\n"), HasSubstr("  5123 ms in one event, of 5000 ms\n"),
                    HasSubstr("  found on 0-1 and not on 0, refused: Invalid argument\n"),
                    HasSubstr("  memory on another node: Operation not permitted\n"),
                    HasSubstr("  process 7 of user 1000, 3 so far\n")));
}

TEST_F(DeathsCommand, TakesThoseOfAPipelineAStageAndTheLast) {
  // The older file comes first.
  write("deaths.jsonl.1", report("one", "parse/0", 1) + report("one", "parse/1", 2));
  write("deaths.jsonl",
        report("one", "parser/0", 3) + report("two", "parse/0", 4) + report("two", "write/0", 5));
  EXPECT_EQ(listed("."), 5);
  EXPECT_EQ(listed("deaths.jsonl"), 3);
  EXPECT_EQ(listed(". --pipeline two"), 2);
  EXPECT_EQ(listed(". --stage parse"), 3);
  EXPECT_EQ(listed(". --stage parse/1"), 1);
  EXPECT_EQ(listed(". --stage parse --pipeline one"), 2);
  EXPECT_EQ(listed(". --pipeline three"), 0);
  const Ran none = run("sluice deaths list . --stage prase --pipeline three --json");
  EXPECT_EQ(none.status, 0);
  EXPECT_EQ(none.out,
            "remark: no report is of a pipeline 'three'\n"
            "remark: no report is of a stage 'prase' (did you mean parse?)\n");
  EXPECT_EQ(run("sluice deaths list . --stage write/7 --json").out, "") << "a stage that there is";
  EXPECT_THAT(run("sluice deaths list . --stage parse --last 1").out,
              AllOf(ContainsRegex("\n +4  "), Not(ContainsRegex("\n +2  "))));
  EXPECT_EQ(run("sluice deaths list . --last 0").status, 2);
  EXPECT_EQ(run("sluice deaths list . --last 1 --json").out,
            R"({"number":5,)" + report("two", "write/0", 5).substr(1));
  EXPECT_EQ(run("sluice deaths list . --json | wc -l").out, "5\n");
  EXPECT_THAT(run("sluice deaths show . 1").out, HasSubstr("pid          1\n"));
}

TEST_F(DeathsCommand, FitsTheTerminal) {
  if (run("script --version").status != 0) GTEST_SKIP() << "there is no script(1)";
  write("deaths.jsonl",
        report("one", "parse/0", 1) + report("one", "parse/1", 2, R"(,"message":"it \u001b broke")"));
  for (const std::size_t columns : {80U, 60U, 40U, 20U}) {
    const Ran ran = run("script -qc 'stty cols " + std::to_string(columns) +
                        "; sluice deaths list .' /dev/null < /dev/null | tr -d '\\r'");
    EXPECT_THAT(ran.out, AllOf(HasSubstr("parse/0"), HasSubstr("cause")));
    std::istringstream lines{ran.out};
    for (std::string line; std::getline(lines, line);)
      EXPECT_LE(line.size(), columns) << ran.out;
    if (columns == 80) {
      EXPECT_THAT(ran.out, ContainsRegex("\n +1  2027[^\n]+parse/0 [^\n]+ signal"));
    }
  }
}

TEST_F(DeathsCommand, TellsOfALineThatIsTornAndOfWhatIsNoReport) {
  write("deaths.jsonl", report("one", "parse/0", 1) + report("one", "parse/0", 2).substr(0, 40));
  const Ran torn = run("sluice deaths list .");
  EXPECT_EQ(torn.status, 0);
  EXPECT_THAT(torn.out, AllOf(ContainsRegex("\n +1  "), HasSubstr("a report is cut off: line 2 of"),
                              HasSubstr("40 bytes")));
  write("deaths.jsonl", report("one", "parse/0", 1) + "nonsense\n" + report("one", "parse/0", 2));
  const Ran foreign = run("sluice deaths list .");
  EXPECT_EQ(foreign.status, 2);
  EXPECT_THAT(foreign.out,
              AllOf(ContainsRegex("\n +2  "), HasSubstr("line 2 of"), HasSubstr("there is no '{'")));
  EXPECT_THAT(run("sluice deaths list nowhere").out, HasSubstr("No such file"));
  fs::create_directory(file("empty"));
  EXPECT_THAT(run("sluice deaths list empty").out, HasSubstr("there are none"));
  EXPECT_THAT(run("mkfifo pipe && sluice deaths list pipe").out, HasSubstr("no regular file"));
}

// All of them at once take ten times as much as their file.
TEST_F(DeathsCommand, HoldsNoMoreOfALongFileThanWhereItsReportsStand) {
  constexpr int kReports = 100'000;
  std::string text;
  for (int i = 0; i < kReports; ++i)
    text +=
        report("one", "parse/0", i, R"(,"backtrace":["market+0x1234 parse+0x1","libc.so.6+0x222 start"])");
  write("deaths.jsonl", text);
  const std::string within = within_mib(128);
  EXPECT_EQ(run(within + "sluice deaths list deaths.jsonl | wc -l").out, std::to_string(kReports + 1) + "\n");
  EXPECT_EQ(run(within + "sluice deaths list . --json | wc -l").out, std::to_string(kReports) + "\n");
  EXPECT_THAT(run(within + "sluice deaths list . --last 1").out, ContainsRegex("\n100000  "));
  EXPECT_THAT(run(within + "sluice deaths show . 100000").out, HasSubstr("pid          99999\n"));
}

// A file may come from anybody.
TEST_F(DeathsCommand, ShowsNothingAsItCame) {
  const std::string more = R"(,"evil\u001b]0;name":"a\u001b[31m\u202eb\nc\u009b","raw":")"
                           "\xc2\x9b"
                           R"(x","deep":{"k\u0007":["\u001b"]})";
  write("deaths.jsonl", report("o\\u001b[1mne", "parse\\u000a/0", 1, more));
  for (const char* const command : {"list .", "list . --json", "show . 1"}) {
    const Ran ran = run(std::string{"sluice deaths "} + command);
    EXPECT_EQ(ran.status, 0) << ran.out;
    EXPECT_THAT(ran.out, AllOf(Not(HasSubstr("\x1b")), Not(HasSubstr("\xc2\x9b")),
                               Not(HasSubstr("\xe2\x80\xae")), Not(HasSubstr("\x07"))))
        << command;
  }
  EXPECT_EQ(listed("."), 1);
  EXPECT_THAT(run("sluice deaths list . --json").out, HasSubstr(R"("deep":{"k\u0007":["\u001b"]})"));
  write("deaths.jsonl",
        "{\"pipeline\":\"" + std::string(5'000'000, 'x') + "\"}\n" + std::string(1000, '[') + "\n");
  EXPECT_THAT(run("sluice deaths list .").out,
              AllOf(HasSubstr("longer than any report"), HasSubstr("line 2")));
}

}  // namespace
}  // namespace sluice::test
