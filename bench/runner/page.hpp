// SPDX-License-Identifier: Apache-2.0
// A run as one page for any browser: tables that need no script, charts where there is one, nothing fetched.
// Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "report.hpp"

namespace sluice::bench {

// `before`, if there is one, is compared with.
std::string page(const Report& report, const Report* before);

// The files that every page carries: page.css, page.js and Chart.js with its licence notice.
struct PageParts {
  std::string_view style;
  std::string_view script;
  std::string_view chart_library;
};
PageParts page_parts() noexcept;

}  // namespace sluice::bench
