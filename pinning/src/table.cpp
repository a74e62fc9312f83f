// SPDX-License-Identifier: Apache-2.0
#include "table.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace sluice::pinning {

std::string node_text(int node) {
  return node < 0 ? "-" : fmt::format("{}", node);
}

std::string to_table(const std::vector<Row>& rows) {
  std::vector<std::size_t> widths;
  for (const Row& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], row[i].size());
  }
  std::string text;
  for (const Row& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i)
      line += fmt::format("{:<{}}  ", row[i], widths[i]);
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

}  // namespace sluice::pinning
