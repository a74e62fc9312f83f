// SPDX-License-Identifier: Apache-2.0
#include "layout/shape.hpp"

#include <optional>

#include <fmt/format.h>

#include <sluice/ipc/control.hpp>
#include <sluice/units.hpp>

namespace sluice::detail {
namespace {

std::string_view name_of(RouteKind kind) {
  switch (kind) {
    case RouteKind::by_key:
      return "by key";
    case RouteKind::least_loaded:
      return "to the least loaded";
    case RouteKind::broadcast:
      return "to all";
    default:
      return "in turn";
  }
}

bool has_workers(const Node& node) {
  return node.kind == NodeKind::source || node.kind == NodeKind::stage;
}

// A line of the shape is one line.
std::string in_one_line(std::string_view text) {
  std::string line;
  for (const char c : text) {
    if (c == '\n') {
      line += "\\n";
    } else {
      line += c;
    }
  }
  return line;
}

std::string node_line(const Layout& layout, const Node& node, NodeIndex number) {
  const unsigned workers = layout.replicas_of(number);
  const std::string fact =
      has_workers(node) ? fmt::format("{} worker{}", workers, workers == 1 ? "" : "s") : std::string{"there"};
  return fmt::format("{} {}: {}\n", name_of(node.kind), node.name, fact);
}

std::string edge_line(const Graph& graph, EdgeIndex number) {
  const Edge& edge = graph.edges[number];
  std::string route{name_of(edge.route.kind)};
  if (edge.route.kind == RouteKind::by_key) route.append(" (").append(edge.route.key_name).append(")");
  return fmt::format("connection {} from {} (output {}) to {}: {} of {} bytes, {} ({}), {}\n", number.value(),
                     graph.nodes[edge.from].name, edge.output, graph.nodes[edge.to].name,
                     edge.type.record ? "records with a head" : "events", edge.type.bytes, edge.type.name,
                     edge.fields, route);
}

}  // namespace

std::string shape_of(const Graph& graph, const Layout& layout, const PipelineSettings& settings) {
  std::string shape = fmt::format("the pipeline's name: {}\n", graph.name);
  for (const auto& [name, value] : graph.arguments)
    shape += fmt::format("argument {}: {}\n", in_one_line(name), in_one_line(value));
  for (const NodeIndex n : graph.nodes.indices())
    shape += node_line(layout, graph.nodes[n], n);
  for (const EdgeIndex e : graph.edges.indices())
    shape += edge_line(graph, e);
  for (const NodeIndex n : graph.nodes.indices()) {
    if (!has_workers(graph.nodes[n])) continue;
    const std::optional<std::uint64_t> rows = settings.nodes[n].table_rows;
    shape += fmt::format("table.rows of {}: {}\n", graph.nodes[n].name, rows ? format_count(*rows) : "auto");
  }
  for (const LaneLayout& lane : layout.lanes) {
    shape +=
        fmt::format("lane {} from {} to {}: {}\n", lane.edge.value(), layout.processes[lane.producer].name,
                    layout.processes[lane.consumer].name, format_bytes(lane.capacity_bytes));
  }
  for (const ProcessLayout& process : layout.processes) {
    shape +=
        fmt::format("region of {}: state of {}, undo log of {}, {} bytes in all\n", process.name,
                    format_bytes(process.state_bytes), format_bytes(process.undo_bytes), process.plain_bytes);
  }
  return shape;
}

std::string shape_version() {
  return fmt::format("the layout's version: {}\n", ipc::kLayoutVersion);
}

std::string checkpoint_shape(const Graph& graph, const Layout& layout, const PipelineSettings& settings) {
  return shape_version() + shape_of(graph, layout, settings);
}

}  // namespace sluice::detail
