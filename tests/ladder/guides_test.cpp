// SPDX-License-Identifier: Apache-2.0
// The other pages that are run: quickstart, testing, deploying.
#include "page.hpp"

namespace sluice::test {
namespace {

const fs::path kGuides = GUIDES;
const fs::path kExamples = EXAMPLES;

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

}  // namespace
}  // namespace sluice::test
