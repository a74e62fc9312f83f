// SPDX-License-Identifier: Apache-2.0
// Tables for a person: columns as wide as their widest cell.
#pragma once

#include <string>
#include <vector>

namespace sluice::pinning {

using Row = std::vector<std::string>;

// Every row ends in a line end and has no blanks before it.
std::string to_table(const std::vector<Row>& rows);

// A NUMA node by its number, "-" for none.
std::string node_text(int node);

}  // namespace sluice::pinning
