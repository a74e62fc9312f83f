// SPDX-License-Identifier: Apache-2.0
// Scenarios in which others have a hand in the places: see scenarios().
#pragma once

#include "guest_report.hpp"

namespace sluice::test {

void rewritten_mask(Report& report);
void rewritten_cpuset(Report& report);
void cpu_goes_offline(Report& report);
void moved_pages(Report& report);

}  // namespace sluice::test
