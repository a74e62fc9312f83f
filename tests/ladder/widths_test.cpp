// SPDX-License-Identifier: Apache-2.0
// What commands print into a pipe or a file, where no terminal says how wide a line may be.
#include <algorithm>
#include <sstream>

#include <sluice/dead_letter.hpp>

#include "commands.hpp"

namespace sluice::test {
namespace {

using testing::ContainsRegex;
using testing::HasSubstr;

constexpr std::size_t kColumns = 80;

class Widths : public WithCommands {
 protected:
  static void expect_narrow(const std::string& text) {
    std::istringstream lines{text};
    for (std::string line; std::getline(lines, line);)
      EXPECT_LE(line.size(), kColumns) << line;
  }
};

TEST_F(Widths, AMachineAndAPlanHaveNoSentenceOfMoreThanEightyColumns) {
  const std::string machine = " --topology 'package:16 numa:2 l3:2 l2:2 core:2 pu:2'";
  const Ran topo = run("sluice topo" + machine);
  EXPECT_EQ(topo.status, 0);
  EXPECT_THAT(topo.out, HasSubstr("256 cores"));
  expect_narrow(topo.out);
  const Ran plan = run("sluice plan --pipeline 'read:4 parse:600 write:2'" + machine);
  EXPECT_THAT(plan.out, ContainsRegex("\n! 606 workers share"));
  expect_narrow(plan.out);
}

// The cause has no bound; what stands before it has one.
TEST_F(Widths, AListOfLettersHasItsCauseWithinEightyColumns) {
  DeadLetter letter;
  letter.stage = "parse";
  letter.from = "read/12";
  letter.position = 18'446'744'073'709'551'615U;
  letter.attempts = 3;
  letter.cause = "THE CAUSE, which is of any length and stands in one line of a pipe, for programs to read";
  letter.payload = std::string(1'000'000, 'x');
  write("letters.dead", encode(letter));
  const Ran list = run("sluice dead list letters.dead");
  EXPECT_EQ(list.status, 0) << list.out;
  std::istringstream lines{list.out};
  std::string heading;
  std::string row;
  std::getline(lines, heading);
  std::getline(lines, row);
  EXPECT_LE(heading.size(), kColumns) << heading;
  EXPECT_LE(row.find("THE CAUSE"), kColumns - std::string{"THE CAUSE"}.size()) << row;
  EXPECT_EQ(heading.find("cause"), row.find("THE CAUSE")) << list.out;
  EXPECT_THAT(row, ContainsRegex("parse/0 read/12 1000000 no  +THE CAUSE"));
}

// Of usual names and sizes, what usually is the cause stands in the same line of a terminal.
TEST_F(Widths, ALetterOfAUsualDeathIsALineOfATerminal) {
  DeadLetter letter;
  letter.stage = "parse";
  letter.from = "read/0";
  letter.cause = "signal 6 (Aborted)";
  letter.payload = std::string(1200, 'x');
  write("letters.dead", encode(letter));
  const Ran list = run("script -qec 'stty cols 80; sluice dead list letters.dead' /dev/null");
  EXPECT_EQ(list.status, 0) << list.out;
  EXPECT_THAT(list.out, ContainsRegex("parse/0 read/0 +1200 no +signal 6 \\(Aborted\\)"));
}

}  // namespace
}  // namespace sluice::test
