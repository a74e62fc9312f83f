// SPDX-License-Identifier: Apache-2.0
// A pipeline in a line, for rehearsals: "read:1 parse:4 book:4 write:1".
//
// NAME:WORKERS, or NAME:WORKERSxTHREADS for wide workers; `cores` for WORKERS: as many as cores are left. Without flows each stage feeds the next. Flows stand
// behind the stages: parse>book routed, parse=>book broadcast, parse~>book one to one, `host` at either end for an
// inlet or outlet, and @RATE for events a second: "host>parse@2e6".
#pragma once

#include <string>
#include <string_view>

#include <sluice/pinning/request.hpp>

namespace sluice::pinning {

// The stages and flows of the text, everything else as it is by default. Throws sluice::Error with the text, the
// position and what would be valid.
PlanRequest parse_pipeline(std::string_view text);

// parse_pipeline() gives the same stages and flows back, without what lanes carry and take one by one.
std::string pipeline_text(const PlanRequest& request);

}  // namespace sluice::pinning
