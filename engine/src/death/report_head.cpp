// SPDX-License-Identifier: Apache-2.0
#include "death/report_head.hpp"

#include <chrono>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/printable.hpp>

namespace sluice::detail {

std::string report_head(std::string_view kind, std::string_view pipeline) {
  constexpr int kSchema = 2;  // 1 had neither schema, pipeline nor version, and seconds only.
  return fmt::format(R"("schema":{},"report":{},"time":"{}","pipeline":{},"version":"{}")", kSchema,
                     json_text(kind), utc_text(std::chrono::system_clock::now()), json_text(pipeline),
                     SLUICE_VERSION);
}

}  // namespace sluice::detail
