// SPDX-License-Identifier: Apache-2.0
// The README's program: it is the one that is compiled and run, it is short, and it does what is said.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "support/clear_away.hpp"

namespace {

std::string content(const char* path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

// A reader of the README does not need the line that names the licence.
std::string content_below_licence(const char* path) {
  const std::string text = content(path);
  return text.starts_with("// SPDX-") ? text.substr(text.find('\n') + 1) : text;
}

TEST(Quickstart, IsTheProgramOfTheReadme) {
  const std::string source = content_below_licence(QUICKSTART_SOURCE);
  ASSERT_FALSE(source.empty());
  EXPECT_NE(content(README).find("```cpp\n" + source + "```"), std::string::npos)
      << "README.md does not hold examples/quickstart.cpp as it stands";
}

TEST(Quickstart, IsShort) {
  const std::string source = content_below_licence(QUICKSTART_SOURCE);
  EXPECT_LE(std::count(source.begin(), source.end(), '\n'), 42);
}

TEST(Quickstart, CountsWords) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> program{
      ::popen("echo to be or not to be that is | timeout 60 " QUICKSTART " | sort", "r"), &::pclose};
  ASSERT_NE(program, nullptr);
  std::string output;
  char buffer[256];
  while (std::fgets(buffer, sizeof(buffer), program.get()) != nullptr)
    output += buffer;
  EXPECT_EQ(output, "1 is\n1 not\n1 or\n1 that\n2 be\n2 to\n");
}

TEST(Quickstart, DoesNotCallLinesThatNobodyGetsASuccess) {
  const int status = std::system("echo to be | timeout 60 " QUICKSTART " >/dev/full");
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 1);
}

int status_of(const std::string& command) {
  const int status = std::system(command.c_str());
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Quickstart, SaysAnErrorAndEndsWithStatusOne) {
  EXPECT_EQ(status_of("SLUICE_LANE_SLOTS=nonsense " QUICKSTART " </dev/null 2>&1 | grep -q lane.slots"), 0);
  EXPECT_EQ(status_of("SLUICE_LANE_SLOTS=nonsense " QUICKSTART " </dev/null 2>/dev/null"), 1);
}

// A worker has room for 20,000 different words.
TEST(Quickstart, DoesNotCallItASuccessWhenThereWasNoRoomForAWord) {
  const std::string directory = ::testing::TempDir() + "sluice-quickstart-" + std::to_string(::getpid());
  const std::string program = "seq 1 20003 | SLUICE_STAGE_COUNT_WORKERS=1 SLUICE_REPORT_PATH=" + directory +
                              " timeout 60 " QUICKSTART;
  EXPECT_EQ(status_of(program + " > " + directory + ".txt 2>&1"), 1);
  const std::string output = content((directory + ".txt").c_str());
  EXPECT_NE(output.find("dead letter"), std::string::npos) << output.substr(0, 1000);
  EXPECT_GT(std::count(output.begin(), output.end(), '\n'), 20000);
  sluice::test::clear_away(directory);
  std::filesystem::remove(directory + ".txt");
}

TEST(Quickstart, AsksForItsInputInsteadOfWaitingForIt) {
  EXPECT_EQ(status_of("timeout 30 " QUICKSTART " --help </dev/zero 2>/dev/null"), 2);
}

}  // namespace
