// SPDX-License-Identifier: Apache-2.0
#include "sluice/connect/sql.hpp"

#include <string>

#include <fmt/format.h>

#include <sluice/refused.hpp>

namespace sluice::detail {

void refuse_number(std::optional<std::uint64_t> value) {
  const std::string what = value ? fmt::format("{}", *value) : std::string{"what 64 bits do not hold"};
  throw Refused{fmt::format("{} is no number of SQL, whose integers end at {}", what, INT64_MAX)};
}

}  // namespace sluice::detail
