// SPDX-License-Identifier: Apache-2.0
// The virtual machine seen from outside: booted once for all tests of this program, and read to its end.
#pragma once

#include <string>
#include <vector>

namespace sluice::test {

struct Console {
  std::string cannot_run;          // Why there is none here; empty if there is one.
  bool emulated = false;           // Without KVM.
  std::vector<std::string> lines;  // What it said, tools/numa-vm's own words included.
  int status = -1;  // Of tools/numa-vm: that of the programs, 124 past its time, 125 for a panic.

  bool started() const;
  // Its last lines, for a person.
  std::string end() const;
};

// Blocks, for minutes where the machine is emulated.
const Console& console();

}  // namespace sluice::test
