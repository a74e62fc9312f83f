// SPDX-License-Identifier: Apache-2.0
// How many workers the stages have that ask for as many as there are cores, and the pipeline as the plan sees it.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <sluice/detail/graph.hpp>
#include <sluice/pinning/request.hpp>
#include <sluice/pinning/topology.hpp>

#include "layout/resolved_settings.hpp"

namespace sluice::detail {

// Stages are the nodes that have workers, everything else is the host's. Without what a layout knows: bytes.
pinning::PlanRequest request_of(const Graph& graph, const PipelineSettings& settings);

// `settings` with a number for each stage: the one that has been kept, if a former life has left something to go on with that
// has that stage; else what the cores of this machine are shared out to, beside the claims of other pipelines. `kept_shape`
// gives the shape of what is kept, and is asked only if a stage needs a number. Throws Error as the plan does.
PipelineSettings with_worker_counts(const Graph& graph, PipelineSettings settings,
                                    const std::function<std::optional<std::string>()>& kept_shape);

// The stages of request_of() whose number is one of those.
std::vector<std::size_t> takers_of_cores(const PipelineSettings& settings);

// For a person, about those that would have another number now.
std::vector<std::string> remarks_on_counts(const pinning::Topology& topology,
                                           const pinning::PlanRequest& request,
                                           const std::vector<std::size_t>& takers);

}  // namespace sluice::detail
