// SPDX-License-Identifier: Apache-2.0
// The numbers that the charts of a page draw, as JSON for page.js. Pure functions.
#pragma once

#include <string>

#include "report.hpp"

namespace sluice::bench {

// May stand in a script element: it has no "</".
std::string chart_data(const Report& report, const Report* before);

}  // namespace sluice::bench
