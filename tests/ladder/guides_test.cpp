// SPDX-License-Identifier: Apache-2.0
// The other pages that are run: quickstart, testing, deploying, and those that look at a pipeline that runs.
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

TEST(QuickstartProgram, HasNotSucceededWhereItsInputOrOutputFailed) {
  const std::string program = PROGRAMS "/quickstart";
  for (const std::string& line :
       {program + " < /", program + " <&-", "echo word | " + program + " > /dev/full"})
    EXPECT_EQ(WEXITSTATUS(std::system((line + " 2> /dev/null").c_str())), 1) << line;
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

TEST(LifecyclePage, SaysWhatItsCommandsSayOfALivePipeline) {
  expect_page_runs(kGuides / "lifecycle.md");
}

TEST(ObservePage, SaysWhatItsCommandsSayOfALivePipeline) {
  expect_page_runs(kGuides / "observe.md");
}

TEST(TuningPage, SaysWhatItsCommandsSayOfALivePipeline) {
  expect_page_runs(kGuides / "tuning.md");
}

// With a program that is there in the place of its own: that it is missing would be a fault.
void expect_sound_unit(const std::string& name, const std::string& program, const std::string& there) {
  if (std::system("command -v systemd-analyze > /dev/null") != 0)
    GTEST_SKIP() << "systemd-analyze is not installed (Debian: systemd)";
  const Playground playground;
  std::string unit = content(kDeploy / "systemd" / name);
  const std::size_t at = unit.find("ExecStart=" + program);
  ASSERT_NE(at, std::string::npos);
  unit.replace(unit.find(program, at), program.size(), there);
  const fs::path file = playground.path() / name;
  const fs::path said = playground.path() / "said";
  std::ofstream{file} << unit;
  const std::string verify = "systemd-analyze verify '" + file.string() + "' > '" + said.string() + "' 2>&1";
  EXPECT_EQ(std::system(verify.c_str()), 0);
  EXPECT_EQ(content(said), "");
}

TEST(TheUnitOfSystemd, IsFoundWithoutFaultByItsOwnTool) {
  expect_sound_unit("market.service", "/usr/bin/market", PROGRAMS "/quickstart");
}

TEST(TheUnitOfSystemd, OfServeIsFoundWithoutFaultByItsOwnTool) {
  expect_sound_unit("sluice-serve.service", "/usr/bin/sluice", PROGRAMS "/sluice");
}

// What stands behind ExecStart= is understood, and ends at the signal that systemd sends.
TEST(TheUnitOfSystemd, OfServeHasACommandThatRunsAndEndsByTheSignal) {
  const std::string unit = content(kDeploy / "systemd/sluice-serve.service");
  const std::string key = "ExecStart=/usr/bin/";
  const std::size_t at = unit.find(key);
  ASSERT_NE(at, std::string::npos);
  std::string command = unit.substr(at + key.size(), unit.find('\n', at) - at - key.size());
  const std::string port = "127.0.0.1:9464";
  ASSERT_NE(command.find(port), std::string::npos) << command;
  command.replace(command.find(port), port.size(), "unix:$PWD/http.sock");
  const Playground playground;
  std::ofstream{playground.path() / "script"}
      << "cd $(dirname $0) && export PATH=" PROGRAMS ":$PATH\n"
      << command << " 2> said &\n"
      << "for i in $(seq 6000); do grep -q serving said && break; sleep 0.01; done\n"
      << "kill -TERM $! && wait $!\ntest $? = 143\n";
  EXPECT_EQ(std::system(("bash '" + (playground.path() / "script").string() + "'").c_str()), 0)
      << content(playground.path() / "said");
}

}  // namespace
}  // namespace sluice::test
