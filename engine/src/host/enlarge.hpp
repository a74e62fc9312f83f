// SPDX-License-Identifier: Apache-2.0
// Enlarge: a named segment whose pipeline is started again with larger lanes, undo logs, state areas or tables.
//
// Used by the host, before it opens the segment.
#pragma once

#include <string>

#include <sluice/detail/graph.hpp>

#include "layout/layout.hpp"
#include "layout/resolved_settings.hpp"

namespace sluice::detail {

// Makes the file at `path` what `layout` asks for and brings over everything that is in it: cursors, commits, undo logs,
// state, with more rows for its tables, and what the lanes hold. The new file takes the name of the old one in one step; a death before leaves the old
// one as it was. Does nothing where more than these sizes differs, or one of them is smaller: Segment::open() says so.
// Throws Error: the file is in use, there is no room for a second one, a table has more rows than it would have, or the state
// no room for larger ones.
void enlarge_segment(const Graph& graph, const Layout& layout, const PipelineSettings& settings,
                     const std::string& path);

}  // namespace sluice::detail
