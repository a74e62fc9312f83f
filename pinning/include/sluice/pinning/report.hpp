// SPDX-License-Identifier: Apache-2.0
// What was asked of the kernel beside what it granted, for processes and for memory.
#pragma once

#include <string>
#include <vector>

#include <sluice/pinning/bind.hpp>
#include <sluice/pinning/place.hpp>

namespace sluice::pinning {

struct ProcessReport {
  std::string name{};  // "parse/0", "master".
  Place asked{};
  ProcessBinding binding{};
  CpuSet granted{};  // From current_units().

  // The kernel granted exactly what was asked.
  bool as_asked() const { return binding.complete() && granted == asked.units; }
};

struct MemoryReport {
  std::string name{};  // "lane read/0 to parse/1".
  int asked_node = -1;
  MemoryBinding binding{};
  Whereabouts found{};  // From where_is().

  // Pages that no process has touched yet count as where they should be.
  bool as_asked() const;
};

struct Report {
  std::vector<ProcessReport> processes{};
  std::vector<MemoryReport> memory{};

  // All of it.
  bool as_asked() const;
};

// A line for each process and each memory, with the reason where the kernel did not grant what was asked.
// Pure.
std::string to_text(const Report& report);

}  // namespace sluice::pinning
