// SPDX-License-Identifier: Apache-2.0
#include "sluice/connect/detail/time_limit.hpp"

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace sluice::detail {

void refuse_time_limit(std::string_view option, std::chrono::milliseconds limit) {
  throw Error{{"take", fmt::format("{} = {} ms", option, limit.count()),
               "a time limit is at least 1 ms and at most a day", "say how long the other side may take"}};
}

}  // namespace sluice::detail
