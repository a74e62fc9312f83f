// SPDX-License-Identifier: Apache-2.0
// The program of the tests of executed replacements: its pipeline as a function, and what its handler tells of itself.
#pragma once

#include <cstdint>
#include <string>

#include <sluice/sluice.hpp>

namespace sluice::test {

struct Deed {
  enum class What : std::uint32_t { tell, die, ignore };
  What what = What::tell;
  std::uint32_t number = 0;
};

// What a handler is told by a leak of its memory.
struct Leak {
  std::int64_t pid = 0;
  std::uint64_t canary = 0;
  std::uint64_t code = 0;
  std::uint64_t heap = 0;
  std::uint64_t stack = 0;
  std::uint64_t library = 0;
  std::uint64_t event = 0;   // Where the event lies in the segment.
  std::uint32_t number = 0;  // Of the deed.
  std::uint32_t nth = 0;     // How many deeds the worker had before, in all of its lives.
  std::uint32_t memory = 0;  // How many descriptors it has that lead to memory.
  std::uint32_t made_by =
      0;  // The process whose main made the pipeline: 1, the one that was executed; 0, another.
};

// The variable that says what build_victims() is to do, and the file that says when: it does so once there is that file.
inline constexpr const char* kTwist = "EXECUTED_TEST_TWIST";
inline constexpr const char* kWhen = "EXECUTED_TEST_WHEN";

// The pipeline of these tests: in -> victim -> out.
Pipeline build_victims(int argc, char** argv);

// What the program is asked to do by its first argument instead of running tests: see executed_program.cpp.
inline constexpr const char* kLosesItsFile = "--lose-your-file";
int lose_own_file(int argc, char** argv);

}  // namespace sluice::test
