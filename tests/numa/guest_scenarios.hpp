// SPDX-License-Identifier: Apache-2.0
// What is tried in the virtual machine: a pipeline each, in a process of its own.
#pragma once

#include <span>

#include "guest_report.hpp"

namespace sluice::test {

struct Scenario {
  const char* name;
  void (*run)(Report& report);
};

std::span<const Scenario> scenarios();

}  // namespace sluice::test
