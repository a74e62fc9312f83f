// SPDX-License-Identifier: Apache-2.0
// How every line of reports begins, in their file and in the log. Pure.
#pragma once

#include <string>
#include <string_view>

namespace sluice::detail {

// The fields that every line begins with, without braces: schema, kind of report, time (UTC, microseconds), pipeline
// and version of the program.
std::string report_head(std::string_view kind, std::string_view pipeline);

}  // namespace sluice::detail
