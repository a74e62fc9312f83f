// SPDX-License-Identifier: Apache-2.0
// The tutorial is right: every command of it says what the page says that it says, and every piece of a program that it shows
// stands in examples/ladder.
#include <algorithm>

#include "page.hpp"

namespace sluice::test {
namespace {

TEST(Tutorial, SaysWhatItsCommandsSay) {
  expect_page_runs(TUTORIAL);
}

TEST(Tutorial, ShowsWhatStandsInItsPrograms) {
  std::string programs;
  for (const auto& entry : fs::directory_iterator{LADDER_SOURCES})
    programs += content(entry.path());
  expect_shown_in(TUTORIAL, programs);
}

TEST(Tutorial, RunsEveryProgramOfTheLadder) {
  const std::string page = content(TUTORIAL);
  const std::vector<Command> all = commands(TUTORIAL);
  ASSERT_GT(all.size(), 30U);
  int programs = 0;
  for (const auto& entry : fs::directory_iterator{LADDER_SOURCES}) {
    if (entry.path().extension() != ".cpp") continue;
    ++programs;
    const std::string text = content(entry.path());
    EXPECT_LE(std::count(text.begin(), text.end(), '\n'), 60) << entry.path();
    std::string name = entry.path().stem().string().substr(3);
    std::ranges::replace(name, '_', '-');
    EXPECT_TRUE(std::ranges::any_of(all, [&](const Command& command) {
      return (" " + command.text + " ").find(" " + name + " ") != std::string::npos;
    })) << name;
    EXPECT_NE(page.find("`" + entry.path().filename().string() + "`"), std::string::npos) << entry.path();
  }
  EXPECT_EQ(programs, 10);
}

TEST(Tutorial, HasProgramsThatHaveNotSucceededWhereNobodyHearsThem) {
  for (const std::string& line : {std::string{LADDER "/tested"}, std::string{"echo word | " LADDER "/host"}})
    EXPECT_EQ(WEXITSTATUS(std::system((line + " > /dev/full").c_str())), 1) << line;
}

}  // namespace
}  // namespace sluice::test
