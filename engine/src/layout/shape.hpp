// SPDX-License-Identifier: Apache-2.0
// The shape of a pipeline: what must be the same for a named segment to be taken over, as text for people.
#pragma once

#include <string>

#include <sluice/detail/graph.hpp>

#include "layout/layout.hpp"

namespace sluice::detail {

// Lines "subject: fact", from what a program says to the sizes that follow from it. What only a handler
// knows is not in it; the pieces of its state are checked as it claims them.
std::string shape_of(const Graph& graph, const Layout& layout, const PipelineSettings& settings);
// The same of what lies in a checkpoint, which says of itself how it is laid out: by a line that comes first.
std::string shape_version();
std::string checkpoint_shape(const Graph& graph, const Layout& layout, const PipelineSettings& settings);

}  // namespace sluice::detail
