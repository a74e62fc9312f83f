// SPDX-License-Identifier: Apache-2.0
// How many workers the stages have that ask for as many as there are cores, and the pipeline as the plan sees it.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include <sluice/detail/graph.hpp>
#include <sluice/pinning/request.hpp>
#include <sluice/pinning/topology.hpp>

#include "layout/resolved_settings.hpp"

namespace sluice::detail {

// Stages are the nodes that have workers, everything else is the host's. Without what a layout knows: bytes.
pinning::PlanRequest request_of(const Graph& graph, const PipelineSettings& settings);

// `settings` with a number for each stage: the one that the file of the named segment was made with, if there is one at
// `segment_path` (empty: none) that has that stage; else what the cores of this machine are shared out to, beside the
// claims of other pipelines. Throws Error as the plan does.
PipelineSettings with_worker_counts(const Graph& graph, PipelineSettings settings,
                                    const std::string& segment_path);

// The stages of request_of() whose number is one of those.
std::vector<std::size_t> takers_of_cores(const PipelineSettings& settings);

// For a person, about those that would have another number now.
std::vector<std::string> remarks_on_counts(const pinning::Topology& topology,
                                           const pinning::PlanRequest& request,
                                           const std::vector<std::size_t>& takers);

}  // namespace sluice::detail
