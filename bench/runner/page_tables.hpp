// SPDX-License-Identifier: Apache-2.0
// The tables of a page, in HTML: all that the charts show can be read there too. Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "groups.hpp"
#include "report.hpp"
#include "targets.hpp"

namespace sluice::bench {

// For text and for attributes in double quotes.
std::string escaped(std::string_view text);

std::string group_table(const Group& group);  // With a second table for the tails, if there are any.
std::string targets_section(const std::vector<TargetRow>& rows);
std::string differences_section(const Report& before, const Report& after);
std::string machine_section(const Report& report);

}  // namespace sluice::bench
