// SPDX-License-Identifier: Apache-2.0
// The README's program: it is the one that is compiled and run, it is short, and it does what is said.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>
#include <sys/wait.h>

#include <gtest/gtest.h>

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

TEST(Quickstart, HasAtMostFortyLines) {
  const std::string source = content_below_licence(QUICKSTART_SOURCE);
  EXPECT_LE(std::count(source.begin(), source.end(), '\n'), 40);
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

}  // namespace
