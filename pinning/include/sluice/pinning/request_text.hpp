// SPDX-License-Identifier: Apache-2.0
// A request as lines of text, by which a program hands its pipeline out for a plan: see `sluice plan --pipeline PROGRAM`.
//
//     pipeline read:1 parse:cores read>parse
//     policy auto
//     place parse package:0
//     reserved 0-1
//     isolated yes
//     smt never
//     region_bytes read 1048576
//     lane_bytes 0 65536
//
// The first line is there always and the others where they say something; lane_bytes is that of each flow, by number.
// Claims, costs and the host's units belong to a machine and are not in it.
#pragma once

#include <string>
#include <string_view>

#include <sluice/pinning/request.hpp>

namespace sluice::pinning {

std::string request_text(const PlanRequest& request);

// Throws sluice::Error, with the line, for what request_text() does not write.
PlanRequest parse_request(std::string_view text);

}  // namespace sluice::pinning
