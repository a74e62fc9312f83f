// SPDX-License-Identifier: Apache-2.0
// FileSource that follows a log which is rotated twice in a row, and once more before each of its calls behind that, one after the
// other. Every line once and in order, and nothing is said to be lost.
#include <iostream>

#include "file_source_world.hpp"
#include "rotating_log.hpp"

namespace sluice::test {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class RotationInstants : public FileSources {
 protected:
  struct Played {
    std::vector<std::string> lines;
    std::vector<std::string> problems;
    std::uint32_t calls = 0;  // Until all that is in the log was read, the first rotation's included.
  };
  // Whoever writes has no old file open.
  static FileSourceOptions at(const std::string& log) {
    return {.paths = {log}, .follow = true, .rotation_grace = 0ns};
  }

  // `second_at`: behind how many calls; 0: never.
  Played play(std::uint32_t second_at, Rotation how) const {
    const TemporaryDirectory directory;
    const std::string log = (directory.path() / "log").string();
    RotatingLog rotating{directory.path().string()};
    std::ofstream{log} << "one\n";
    Settings settings = this->settings();
    settings.set("restart.backoff", "0s");
    Following following{at(log), settings};
    EXPECT_TRUE(following.has(1));
    rotating.rotate(second_at, how);
    std::ofstream{directory.path() / "another"} << "and it looks";
    const std::uint32_t lines = second_at == 0 ? 4 : 5;
    EXPECT_TRUE(following.has(lines)) << "the last rotation behind " << second_at << " calls";
    Played played;
    played.calls = rotating.calls();
    EXPECT_EQ(rotating.rotations(), lines - 2);
    played.lines = texts(following.drain());
    played.problems = following.problems();
    return played;
  }

  void expect_every_line_whenever(Rotation how) const {
    // It goes on to look at what it has read to its end.
    constexpr std::uint32_t kMore = 8;
    const std::uint32_t calls = play(0, how).calls + kMore;
    EXPECT_LT(calls, 400U);
    for (std::uint32_t second_at = 1; second_at <= calls && !HasFailure(); ++second_at) {
      const Played played = play(second_at, how);
      EXPECT_THAT(played.lines, ElementsAre("one", "two", "three", "four", "five"))
          << "behind call " << second_at;
      EXPECT_THAT(played.problems, IsEmpty()) << "behind call " << second_at;
    }
    std::cout << calls << " instants\n";
  }
};

TEST_F(RotationInstants, LoseNoLine) {
  expect_every_line_whenever(Rotation::at_once);
}

TEST_F(RotationInstants, LoseNoLineWhenItTakesItsTime) {
  expect_every_line_whenever(Rotation::step_by_step);
}

TEST_F(RotationInstants, LoseNoLineWhenTheSourceDiesThen) {
  expect_every_line_whenever(Rotation::and_a_death);
}

}  // namespace
}  // namespace sluice::test
