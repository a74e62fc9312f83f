// SPDX-License-Identifier: Apache-2.0
// Enlarge: a pipeline that is started again with larger lanes, undo logs, state areas or tables than those that its named
// segment or its checkpoint has.
//
// Used by the host, before its first fork.
#pragma once

#include <optional>
#include <string>

#include <sluice/detail/graph.hpp>
#include <sluice/ipc/segment.hpp>

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

// What a former life was laid out with.
struct Former {
  Layout layout;
  PipelineSettings settings;  // As far as they are in the shape.
};
// Of the shape `kept`, as shape_of() has it: nothing unless it differs from that of `layout` by smaller lanes, undo logs,
// state and tables alone.
std::optional<Former> smaller_former(const Graph& graph, const Layout& layout,
                                     const PipelineSettings& settings, const std::string& kept);
// Copies all that is in `from` to `to`, which is laid out by `layout` and holds zeros. This process may write both. Throws
// Error as enlarge_segment() does.
void bring_over(const Graph& graph, const Layout& layout, const PipelineSettings& settings,
                const ipc::Segment& to, const Former& former, const ipc::Segment& from);

}  // namespace sluice::detail
