// SPDX-License-Identifier: Apache-2.0
// The rows of the suite as a file of lines, in the form that a source reads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "guarded_directory.hpp"
#include "stores.hpp"

namespace sluice::bench {

class RowsFile {
 public:
  // `line`: of a row, with its newline.
  RowsFile(const std::string& name, std::string heading, std::function<std::string(const StoredRow&)> line);

  // The path of a file of so many rows, which is written the first time. Throws Error if it cannot be.
  std::string written(std::uint64_t rows) const;

 private:
  GuardedDirectory directory_;
  std::string heading_;
  std::function<std::string(const StoredRow&)> line_;
};

}  // namespace sluice::bench
