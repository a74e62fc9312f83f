// SPDX-License-Identifier: Apache-2.0
// What holds for every layout that lay_out() makes: regions are divided without overlap, and every index names
// something. Builds with assertions look after it at each start.
#pragma once

#include <string>

#include "layout/layout.hpp"

namespace sluice::detail {

// The first thing that does not hold, with the process or lane that it is about; empty when everything does:
//   the parts of a region follow each other without overlap, are aligned, and end within its plain bytes;
//   every lane has a line of its own in its producer's and in its consumer's cursors, behind the fixed words;
//   a lane's ring is the one of its number in its producer's region, and its capacity a power of two;
//   the lanes that a process lists are those that name it.
std::string fault_of_layout(const Layout& layout);

}  // namespace sluice::detail
