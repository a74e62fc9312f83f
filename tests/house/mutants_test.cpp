// SPDX-License-Identifier: Apache-2.0
// The list of mutants (tests/mutants): each can still be planted, or it proves nothing. What the tests make of them
// tools/mutate finds out, which takes hours.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
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

Answer answer_of(const std::string& command) {
  Answer answer;
  FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return answer;
  std::array<char, 4096> part{};
  while (std::fgets(part.data(), static_cast<int>(part.size()), pipe) != nullptr)
    answer.text += part.data();
  answer.status = ::pclose(pipe);
  return answer;
}

Answer mutate(const std::string& option) {
  return answer_of("'" SLUICE_SOURCE_DIR "/tools/mutate' " + option);
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

// From a directory of its own, since ctest writes its log there, which may be this run's.
std::string names_of_all_tests() {
  std::string name = (std::filesystem::temp_directory_path() / "sluice-house-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) return {};
  std::ofstream{name + "/CTestTestfile.cmake"} << "subdirs(\"" SLUICE_BINARY_DIR "\")\n";
  const Answer answer = answer_of("'" CTEST_COMMAND "' --test-dir '" + name + "' -N");
  std::filesystem::remove_all(name);
  return answer.text;
}

// A program that is not built here, as for want of a library, says nothing.
TEST(Mutants, AreSeenByTestsThatThereAre) {
  const std::string tests = names_of_all_tests();
  ASSERT_NE(tests.find(": house.Mutants."), std::string::npos) << tests.substr(0, 1000);
  const std::string list = mutate("--list").text;
  const std::regex seen{R"( (\w+)\.(\S+)\n)"};
  std::size_t mutants = 0;
  for (std::sregex_iterator mutant{list.begin(), list.end(), seen}, end; mutant != end; ++mutant, ++mutants) {
    const std::string program = (*mutant)[1];
    if (tests.find(": " + program + ".") == std::string::npos) continue;
    EXPECT_TRUE(std::regex_search(tests, std::regex{": " + program + "\\.(" + (*mutant)[2].str() + ")"}))
        << mutant->str();
  }
  EXPECT_GE(mutants, 60U);
}

TEST(Mutants, AreRefusedByNumbersThatThereAreNot) {
  EXPECT_NE(mutate("--only 0 --list").status, 0);
  EXPECT_NE(mutate("--only 100000 --list").status, 0);
  EXPECT_NE(mutate("--only seven --list").status, 0);
}

}  // namespace
}  // namespace sluice::house
