// SPDX-License-Identifier: Apache-2.0
// The other pages that are run: quickstart, testing, deploying.
#include "page.hpp"

namespace sluice::test {
namespace {

const fs::path kGuides = GUIDES;
const fs::path kExamples = EXAMPLES;
const fs::path kDeploy = kExamples / "../deploy";

TEST(QuickstartPage, SaysWhatItsCommandsSayAndShowsItsProgram) {
  expect_page_runs(kGuides / "quickstart.md");
  expect_shown_in(kGuides / "quickstart.md", content(kExamples / "quickstart.cpp"));
}

TEST(TestingPage, SaysWhatItsCommandsSayAndShowsItsTest) {
  expect_page_runs(kGuides / "testing.md");
  expect_shown_in(kGuides / "testing.md",
                  content(kExamples / "testing/book.hpp") + content(kExamples / "testing/book_test.cpp"));
}

TEST(DeployingPage, SaysWhatItsCommandsSay) {
  if (std::system("unshare -rm --pid --fork true && command -v curl pgrep > /dev/null") != 0)
    GTEST_SKIP()
        << "namespaces of users, mounts and processes cannot be had here, or curl or pgrep is missing";
  expect_page_runs(kGuides / "deploying.md");
}

TEST(TheUnitOfSystemd, IsFoundWithoutFaultByItsOwnTool) {
  if (std::system("command -v systemd-analyze > /dev/null") != 0)
    GTEST_SKIP() << "systemd-analyze is not installed (Debian: systemd)";
  const Playground playground;
  std::string unit = content(kDeploy / "systemd/market.service");
  const std::string program = "/usr/bin/market";
  const std::size_t at = unit.find("ExecStart=" + program);
  ASSERT_NE(at, std::string::npos);
  // One that is there: that it is missing would be a fault.
  unit.replace(unit.find(program, at), program.size(), PROGRAMS "/quickstart");
  const fs::path file = playground.path() / "market.service";
  const fs::path said = playground.path() / "said";
  std::ofstream{file} << unit;
  const std::string verify = "systemd-analyze verify '" + file.string() + "' > '" + said.string() + "' 2>&1";
  EXPECT_EQ(std::system(verify.c_str()), 0);
  EXPECT_EQ(content(said), "");
}

}  // namespace
}  // namespace sluice::test
