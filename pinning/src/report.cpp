// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/pinning/report.hpp>

#include "table.hpp"

namespace sluice::pinning {
namespace {

Row process_row(const ProcessReport& process) {
  std::string verdict = "as asked";
  if (process.binding.affinity_error != 0) {
    verdict = "not bound: " + errno_text(process.binding.affinity_error);
  } else if (process.granted != process.asked.units) {
    verdict = "granted other units";
  } else if (process.binding.memory_error != 0) {
    verdict = "memory not preferred: " + errno_text(process.binding.memory_error);
  }
  return {process.name, "units " + process.asked.units.to_string(), "units " + process.granted.to_string(),
          std::move(verdict)};
}

Row memory_row(const MemoryReport& memory) {
  std::string found;
  for (const auto& [node, pages] : memory.found.pages_on_node) {
    found +=
        fmt::format("{}{} page{} on node {}", found.empty() ? "" : ", ", pages, pages == 1 ? "" : "s", node);
  }
  if (memory.found.absent_pages > 0) {
    found += fmt::format("{}{} untouched", found.empty() ? "" : ", ", memory.found.absent_pages);
  }
  std::string verdict = "as asked";
  if (memory.binding.error != 0) {
    verdict = "not bound: " + errno_text(memory.binding.error);
  } else if (memory.found.error != 0) {
    verdict = "not verified: " + errno_text(memory.found.error);
  } else if (!memory.as_asked()) {
    verdict = "granted otherwise";
  }
  return {memory.name, "node " + node_text(memory.asked_node), found.empty() ? "-" : std::move(found),
          std::move(verdict)};
}

}  // namespace

bool MemoryReport::as_asked() const {
  if (binding.error != 0 || found.error != 0 || binding.granted_node != asked_node) return false;
  return found.pages_on_node.empty() ||
         (found.pages_on_node.size() == 1 && found.pages_on_node.contains(asked_node));
}

bool Report::as_asked() const {
  return std::all_of(processes.begin(), processes.end(),
                     [](const ProcessReport& process) { return process.as_asked(); }) &&
         std::all_of(memory.begin(), memory.end(),
                     [](const MemoryReport& piece) { return piece.as_asked(); });
}

std::string to_text(const Report& report) {
  std::vector<Row> rows{{"what", "asked", "granted", "verdict"}};
  for (const ProcessReport& process : report.processes)
    rows.push_back(process_row(process));
  for (const MemoryReport& memory : report.memory)
    rows.push_back(memory_row(memory));
  return to_table(rows);
}

}  // namespace sluice::pinning
