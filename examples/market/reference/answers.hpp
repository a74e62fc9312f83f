// SPDX-License-Identifier: Apache-2.0
// The answer files of a market: tab-separated, with a header, sorted, decimals as short as they can be
// exactly.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "instrument.hpp"

namespace reference {

struct Rejected {
  std::string file;
  std::int64_t line = 0;
  std::string reason;
};

// Writes the five answer files and rejected.tsv, making the directory. Throws std::runtime_error.
void write_answers(const std::filesystem::path& directory, const Market& market,
                   std::vector<Rejected> rejected);

}  // namespace reference
