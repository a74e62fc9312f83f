// SPDX-License-Identifier: Apache-2.0
#include "sluice/connect/sql.hpp"

#include <fmt/format.h>

#include <sluice/refused.hpp>

namespace sluice::detail {

void refuse_number(std::uint64_t value) {
  throw Refused{fmt::format("{} is no number of SQL, whose integers end at {}", value, INT64_MAX)};
}

}  // namespace sluice::detail
