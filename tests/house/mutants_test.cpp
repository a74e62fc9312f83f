// SPDX-License-Identifier: Apache-2.0
// The list of mutants (tests/mutants): each can still be planted, or it proves nothing. What the tests make of them
// tools/mutate finds out, which takes hours.
#include <array>
#include <cstdio>
#include <regex>
#include <set>
#include <string>

#include <gtest/gtest.h>

namespace sluice::house {
namespace {

struct Answer {
  int status = -1;
  std::string text;
};

Answer mutate(const std::string& option) {
  Answer answer;
  FILE* pipe = ::popen(("'" SLUICE_SOURCE_DIR "/tools/mutate' " + option + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return answer;
  std::array<char, 4096> part{};
  while (std::fgets(part.data(), static_cast<int>(part.size()), pipe) != nullptr)
    answer.text += part.data();
  answer.status = ::pclose(pipe);
  return answer;
}

TEST(Mutants, StandInOneLineOfTheFileThatTheyName) {
  const Answer check = mutate("--check");
  EXPECT_EQ(check.status, 0) << check.text;
}

TEST(Mutants, AreManyAndEachBreaksAnotherPromise) {
  const Answer list = mutate("--list");
  EXPECT_EQ(list.status, 0) << list.text;
  const std::regex line{R"( *\d+  (.*\S)\s+\S+\..*)"};
  std::set<std::string> names;
  std::size_t mutants = 0;
  for (std::size_t at = 0; at < list.text.size();) {
    const std::size_t end = list.text.find('\n', at);
    std::smatch match;
    const std::string text = list.text.substr(at, end - at);
    EXPECT_TRUE(std::regex_match(text, match, line)) << text;
    names.insert(match[1]);
    ++mutants;
    at = end == std::string::npos ? list.text.size() : end + 1;
  }
  EXPECT_GE(mutants, 60U);
  EXPECT_EQ(names.size(), mutants);
}

TEST(Mutants, AreRefusedByNumbersThatThereAreNot) {
  EXPECT_NE(mutate("--only 0 --list").status, 0);
  EXPECT_NE(mutate("--only 100000 --list").status, 0);
  EXPECT_NE(mutate("--only seven --list").status, 0);
}

}  // namespace
}  // namespace sluice::house
