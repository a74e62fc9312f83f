// SPDX-License-Identifier: Apache-2.0
#include "layout/shape.hpp"

#include <fmt/format.h>

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

std::string edge_line(const Graph& graph, std::size_t number) {
  const Edge& edge = graph.edges[number];
  return fmt::format("connection {} from {} (output {}) to {}: {} of {} bytes, {}, {}\n", number,
                     graph.nodes[edge.from].name, edge.output, graph.nodes[edge.to].name,
                     edge.type.record ? "records with a head" : "events", edge.type.bytes, edge.type.name,
                     name_of(edge.route.kind));
}

}  // namespace

std::string shape_of(const Graph& graph, const Layout& layout, const Settings& settings) {
  std::string shape = fmt::format("the pipeline's name: {}\n", graph.name);
  for (const auto& [name, value] : graph.arguments)
    shape += fmt::format("argument {}: {}\n", in_one_line(name), in_one_line(value));
  for (std::size_t n = 0; n < graph.nodes.size(); ++n)
    shape += node_line(layout, graph.nodes[n], NodeIndex{n});
  for (std::size_t e = 0; e < graph.edges.size(); ++e)
    shape += edge_line(graph, e);
  for (const Node& node : graph.nodes) {
    if (!has_workers(node)) continue;
    shape += fmt::format("table.rows of {}: {}\n", node.name, settings.value("table.rows", node.name));
  }
  for (const LaneLayout& lane : layout.lanes) {
    shape += fmt::format("lane {} from {} to {}: {}\n", lane.edge, layout.processes[lane.producer].name,
                         layout.processes[lane.consumer].name, format_bytes(lane.capacity_bytes));
  }
  for (const ProcessLayout& process : layout.processes) {
    shape +=
        fmt::format("region of {}: state of {}, undo log of {}, {} bytes in all\n", process.name,
                    format_bytes(process.state_bytes), format_bytes(process.undo_bytes), process.plain_bytes);
  }
  return shape;
}

}  // namespace sluice::detail
