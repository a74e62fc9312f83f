// SPDX-License-Identifier: Apache-2.0
// The rooms of engine/src: none includes what belongs to one that stands on it.
#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <regex>
#include <string>

#include <gtest/gtest.h>

namespace {

namespace fs = std::filesystem;

// Each may use those before it.
constexpr std::array kRooms{"settings", "death", "layout", "observer", "worker", "master", "host"};

std::ptrdiff_t rank(const std::string& room) {
  return std::find(kRooms.begin(), kRooms.end(), room) - kRooms.begin();
}

TEST(Rooms, KnowOnlyThoseThatTheyStandOn) {
  const std::regex include{"#include \"([a-z_]+)/[a-z_]+\\.hpp\""};
  std::size_t found = 0;
  for (const auto& file : fs::recursive_directory_iterator{SLUICE_ENGINE_SOURCES}) {
    if (!file.is_regular_file()) continue;
    const fs::path path = fs::relative(file.path(), SLUICE_ENGINE_SOURCES);
    const bool in_room = path.has_parent_path();
    const std::string room = path.begin()->string();
    EXPECT_TRUE(!in_room || rank(room) < std::ssize(kRooms)) << room << " is no room that this test knows";
    std::ifstream text{file.path()};
    for (std::string line; std::getline(text, line);) {
      std::smatch match;
      if (!std::regex_search(line, match, include) || match[1] == "sluice") continue;
      ++found;
      EXPECT_TRUE(in_room && rank(match[1]) <= rank(room)) << path << " looks up: " << line;
    }
  }
  EXPECT_GT(found, 100U);
}

}  // namespace
