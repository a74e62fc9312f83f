// SPDX-License-Identifier: Apache-2.0
// packaging/man-pages: what --help says, whole, and examples as one types them.
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
                               "  sluice dead debug sluice\\-reports 1 \\-\\- gdb \\-\\-args build/words\n"
                               "  sluice dead debug reports 1 \\-\\- gdb \\-batch"));
  EXPECT_THAT(text_of("man/sluice-dead-import.1"),
              HasSubstr("  jq \\-c \\(aqselect(.stage == \"parse\")\\(aq a.jsonl"));
  EXPECT_EQ(run("grep -L '^[.]SH EXAMPLES' man/*").out, "");
}

}  // namespace
}  // namespace sluice::test
