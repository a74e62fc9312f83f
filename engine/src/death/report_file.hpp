// SPDX-License-Identifier: Apache-2.0
// The file of reports, deaths.jsonl: a line of JSON for each thing that happened, from several processes at once.
//
// The file is bounded: once it holds kMostReportBytes it becomes deaths.jsonl.1, in the place of an older one.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "death/report_head.hpp"

namespace sluice::detail {

inline constexpr std::uint64_t kMostReportBytes = std::uint64_t{16} << 20;

// Appends the line {fields,more}; either may be empty. One write, so that lines of several writers do not mix. False
// when the line could not be written.
bool append_report(const std::string& path, std::string_view fields, std::string_view more,
                   std::uint64_t most_bytes = kMostReportBytes) noexcept;

}  // namespace sluice::detail
