// SPDX-License-Identifier: Apache-2.0
// A log that is rotated between two given system calls of the process that follows it, by that process itself: so the race between
// who rotates and who reads is played at each of its instants, and not by chance.
//
// The program that has this has its own statx(), open() and readdir(), which count the calls that are about the log (its name, or
// one that begins with it, and its directory) in every process but the test's, and rotate before the call in question. Nothing
// happens until a test asks for it.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace sluice::test {

enum class Rotation {
  at_once,
  step_by_step,  // Each renaming, and the new log, before a call of its own.
  and_a_death,   // At once, and the process is killed then.
};

// One at a time; the log is called "log".
class RotatingLog {
 public:
  explicit RotatingLog(const std::string& directory);
  ~RotatingLog();
  RotatingLog(const RotatingLog&) = delete;
  RotatingLog& operator=(const RotatingLog&) = delete;

  // Before the next call a line is written into it and it is rotated, twice in a row; once more before the call that is `calls`
  // behind that one; 0 calls: not again. What is written, and what stands in the new logs, one after the other: texts().
  void rotate(std::uint32_t calls, Rotation how);
  static const std::array<std::string, 4>& texts();
  // How often it was rotated.
  std::uint32_t rotations() const;
  // Since the first of them.
  std::uint32_t calls() const;
};

}  // namespace sluice::test
