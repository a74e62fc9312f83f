// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/graph.hpp"

#include <algorithm>

#include <fmt/format.h>

#include <sluice/detail/assert.hpp>
#include <sluice/detail/plain_text.hpp>
#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

bool is_name(std::string_view text) {
  constexpr std::size_t kLongest = 64;
  if (text.empty() || text.size() > kLongest || !is_small_letter(text.front())) return false;
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return is_small_letter(c) || is_digit(c) || c == '-' || c == '_'; });
}

}  // namespace

std::string_view name_of(NodeKind kind) {
  switch (kind) {
    case NodeKind::inlet:
      return "inlet";
    case NodeKind::source:
      return "source";
    case NodeKind::stage:
      return "stage";
    default:
      return "outlet";
  }
}

NodeIndex Graph::add(NodeKind kind, std::string name, StageOptions options, std::vector<EventType> outputs,
                     RunnerFactory factory) {
  Node node;
  node.kind = kind;
  node.name = std::move(name);
  node.options = std::move(options);
  node.outputs = std::move(outputs);
  node.factory = std::move(factory);
  if (!is_name(node.name)) {
    throw Error{{"name a stage", "'" + node.name + "'", "a name is made of a-z, 0-9, '-' and '_'",
                 "begin it with a letter and keep it within 64 characters"}};
  }
  for (const Node& other : nodes) {
    if (other.name == node.name) {
      throw Error{{"add the stage", "'" + node.name + "'", "the pipeline has one of that name",
                   "give it another name"}};
    }
  }
  return nodes.push_back(std::move(node));
}

NodeIndex Graph::find(std::string_view name, NodeKind kind) const {
  std::string known;
  for (const NodeIndex n : nodes.indices()) {
    if (nodes[n].kind != kind) continue;
    if (nodes[n].name == name) return n;
    known += (known.empty() ? "" : ", ") + nodes[n].name;
  }
  throw Error{{fmt::format("find the {}", name_of(kind)), fmt::format("'{}'", name),
               fmt::format("the pipeline {} has no such {}", this->name, name_of(kind)),
               known.empty() ? "it has none at all" : "it has: " + known}};
}

void Graph::refuse_twice(std::span<const Tap> taps, NodeKind kind, const std::string& name) const {
  for (std::size_t i = 0; i < taps.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const Tap& tap = taps[i];
      if (tap.node != taps[j].node || tap.output != taps[j].output) continue;
      // The host has no workers that keys could tell apart.
      if (kind == NodeKind::stage && differ_in_key(tap.route, taps[j].route)) continue;
      const Node& from = nodes[tap.node];
      const std::string what =
          from.kind == NodeKind::inlet
              ? fmt::format("the inlet '{}'", from.name)
              : fmt::format("output {} of the {} '{}'", tap.output, name_of(from.kind), from.name);
      throw Error{{fmt::format("add the {}", name_of(kind)), fmt::format("'{}'", name),
                   fmt::format("merge() would bring it each event of {} twice", what),
                   kind == NodeKind::stage
                       ? "merge two streams; one by two keys, by(a).merge(by(b)), goes to the workers of both"
                       : "merge two streams"}};
    }
  }
}

const Edge& Graph::edge_to(NodeIndex node) const noexcept {
  const auto found =
      std::find_if(edges.begin(), edges.end(), [node](const Edge& edge) { return edge.to == node; });
  SLUICE_ASSERT(found != edges.end());
  return *found;
}

}  // namespace sluice::detail
