// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/path.hpp"

#include <system_error>

#include "sluice/error.hpp"

namespace sluice::detail {

std::filesystem::path absolute_path(const std::filesystem::path& path) {
  if (path.empty()) throw Error{{"find the file", "''", "its path is empty", "name one"}};
  std::error_code error;
  std::filesystem::path absolute = std::filesystem::absolute(path, error);
  if (error) {
    throw Error{{"find", path.string(), "the working directory: " + error.message(),
                 "go to a directory that is there, or name an absolute path"}};
  }
  return absolute;
}

}  // namespace sluice::detail
