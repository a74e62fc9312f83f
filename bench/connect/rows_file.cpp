// SPDX-License-Identifier: Apache-2.0
#include "rows_file.hpp"

#include <filesystem>
#include <fstream>
#include <utility>

#include <sluice/error.hpp>

namespace sluice::bench {

RowsFile::RowsFile(const std::string& name, std::string heading,
                   std::function<std::string(const StoredRow&)> line)
    : directory_{name}, heading_{std::move(heading)}, line_{std::move(line)} {}

std::string RowsFile::written(std::uint64_t rows) const {
  std::string path = directory_.path() / "rows";
  if (std::filesystem::exists(path)) return path;
  std::ofstream file{path};
  file << heading_;
  for (std::uint64_t number = 0; number < rows; ++number)
    file << line_(stored_row(number));
  file.close();
  if (!file) throw Error{{"write", path, errno_text(), "make room there"}};
  return path;
}

}  // namespace sluice::bench
