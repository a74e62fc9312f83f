// SPDX-License-Identifier: Apache-2.0
// What an earlier run of a pipeline has measured, in a line, as `sluice stats --measured` writes it and the setting
// placement.measured takes it:
//
//     parse@1.7 book@0.4 host>parse@2e6 parse>book@2e6
//
// STAGE@N: its workers have kept N processors busy together. FROM>TO@N: its lanes have carried N events a second together;
// `host` is an inlet or outlet. What is not there is not known.
#pragma once

#include <string>
#include <string_view>

#include <sluice/pinning/request.hpp>

namespace sluice::pinning {

// The request with the loads and rates of the text. Throws sluice::Error with the text, the position and what would be
// valid: for a stage or flow that the request does not have, too.
PlanRequest with_measured(PlanRequest request, std::string_view text);

// The loads and rates of the request that are known; of flows that have several rows of lanes, none.
std::string measured_text(const PlanRequest& request);

}  // namespace sluice::pinning
