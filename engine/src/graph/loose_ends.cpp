// SPDX-License-Identifier: Apache-2.0
#include "graph/loose_ends.hpp"

#include <algorithm>

#include <fmt/format.h>

#include "graph/shown_type.hpp"

namespace sluice::detail {
namespace {

bool leads_on(const Graph& graph, NodeIndex node, std::size_t output) {
  return std::any_of(graph.edges.begin(), graph.edges.end(),
                     [&](const Edge& edge) { return edge.from == node && edge.output == output; });
}

std::string sentence(const Node& node, std::size_t output) {
  const std::string_view type = shown_type(node.outputs[output].name);
  if (node.kind == NodeKind::inlet) {
    return fmt::format(
        "the inlet '{}' ({}) leads nowhere: what is pushed there is dropped; connect its stream by to() or "
        "outlet(), or leave the inlet out",
        node.name, type);
  }
  return fmt::format(
      "output {} of the {} '{}' ({}{}) leads nowhere: what is pushed there is dropped; connect its stream "
      "by to() or outlet(), or have no such Output in the handler",
      output, name_of(node.kind), node.name, type, node.outputs.size() > 1 ? ", counted from 0" : "");
}

}  // namespace

std::vector<std::string> loose_ends(const Graph& graph) {
  std::vector<std::string> sentences;
  for (const NodeIndex n : graph.nodes.indices()) {
    const Node& node = graph.nodes[n];
    for (std::size_t output = 0; output < node.outputs.size(); ++output) {
      if (!leads_on(graph, n, output)) sentences.push_back(sentence(node, output));
    }
  }
  return sentences;
}

}  // namespace sluice::detail
