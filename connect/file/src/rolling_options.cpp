// SPDX-License-Identifier: Apache-2.0
#include "rolling_options.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <zstd.h>

#include <sluice/detail/plain_text.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>

namespace sluice::detail {

void check_rolling(const RollingFileOptions& options, const std::string& name) {
  const auto is_plain = [](const std::string& text) {
    return !text.empty() && text.size() <= 100 && text.front() != '.' &&
           std::all_of(text.begin(), text.end(), [](char c) {
             return is_letter(c) || is_digit(c) || c == '-' || c == '_' || c == '.';
           });
  };
  for (const std::string& part : {name, options.suffix}) {
    if (!is_plain(part)) {
      throw Error{{"name files", "'" + printable(part) + "'", "it is a part of a file's name",
                   "give 1 to 100 of letters, digits, '-', '_' and '.', no '.' first"}};
    }
  }
  if (options.rotate_after.count() < 0)
    throw Error{{"go on to another file after", fmt::format("{} ns", options.rotate_after.count()),
                 "RollingFileOptions::rotate_after is less than 0", "give a time, or 0 for none"}};
  if (options.compression == FileCompression::zstd &&
      (options.level < ZSTD_minCLevel() || options.level > ZSTD_maxCLevel())) {
    throw Error{{"compress at", fmt::format("level {}", options.level), "zstd has none of that number",
                 fmt::format("give one of 1 to {}", ZSTD_maxCLevel())}};
  }
}

}  // namespace sluice::detail
