// SPDX-License-Identifier: Apache-2.0
// What a program in the virtual machine says of its checks: a line each, for numa_test, which reads the
// console outside.
//
//     numa memoryless 7 ok lane parse/0 to count/0: 16 pages on node 3
//     numa memoryless 8 FAILED count/0 may run on 8-11, planned was 10
//     numa memoryless end 8
//
// Numbered from 1 in each scenario, so that a line that is lost is seen.
#pragma once

#include <string>
#include <unistd.h>
#include <utility>

namespace sluice::test {

class Report {
 public:
  explicit Report(std::string scenario) : scenario_{std::move(scenario)} {}

  bool check(bool holds, const std::string& what) {
    say(std::to_string(++checks_) + (holds ? " ok " : " FAILED ") + what);
    return holds;
  }
  // For a person: numbers, plans.
  void note(const std::string& text) const { say("note " + text); }
  void end() const { say("end " + std::to_string(checks_)); }

 private:
  void say(const std::string& text) const {
    std::string line = "numa " + scenario_ + ' ' + text;
    for (char& character : line) {
      if (character == '\n') character = '|';
    }
    line += '\n';
    // One call, so that nothing comes between; what is lost, the numbers show.
    if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) ::_exit(1);
  }

  std::string scenario_;
  unsigned checks_ = 0;
};

}  // namespace sluice::test
