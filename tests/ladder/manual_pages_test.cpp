// SPDX-License-Identifier: Apache-2.0
// packaging/man-pages: what --help says, whole, and examples as one types them.
#include <sstream>

#include "commands.hpp"

namespace sluice::test {
namespace {

using testing::HasSubstr;

class ManualPages : public WithCommands {};

TEST_F(ManualPages, HaveTheWholePurposeOfACommandAndItsExamplesALineEach) {
  if (run("help2man --version").status != 0) GTEST_SKIP() << "help2man is not installed";
  const Ran made = run("'" EXAMPLES "/../packaging/man-pages' '" PROGRAMS "/sluice' man");
  ASSERT_EQ(made.status, 0) << made.out;
  const std::string debug = text_of("man/sluice-dead-debug.1");
  EXPECT_THAT(debug, HasSubstr("\\- Run a debugger whose program handles one dead letter\n"));
  EXPECT_THAT(debug, HasSubstr(".SH EXAMPLES\n.nf\n"
                               "sluice dead debug sluice\\-reports 1 \\-\\- gdb \\-\\-args build/words\n"
                               "sluice dead debug reports 1 \\-\\- gdb \\-batch"));
  EXPECT_THAT(text_of("man/sluice-dead-import.1"),
              HasSubstr("\njq \\-c \\(aqselect(.stage == \"parse\")\\(aq a.jsonl"));
  EXPECT_EQ(run("grep -L '^[.]SH EXAMPLES' man/*").out, "");
  if (run("man --version").status != 0) return;
  for (const auto& page : std::filesystem::directory_iterator{file("man")}) {
    std::istringstream shown{
        run("LC_ALL=C MANWIDTH=80 man --warnings -l '" + page.path().string() + "'").out};
    for (std::string line; std::getline(shown, line);)
      EXPECT_LE(line.size(), 80U) << page.path().filename() << "\n" << line;
  }
}

}  // namespace
}  // namespace sluice::test
