// SPDX-License-Identifier: Apache-2.0
// The graph: a pipeline as a plain value, known whole before anything starts. Built by Pipeline and Stream,
// read by the engine to size, place, print and run it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/detail/event_type.hpp>
#include <sluice/detail/index.hpp>
#include <sluice/detail/route.hpp>
#include <sluice/settings.hpp>
#include <sluice/stage_options.hpp>

namespace sluice {

class Worker;

namespace detail {

// How a worker's process makes what calls its handler; runner.hpp has them whole. The graph only carries it there.
class OutputPort;
class Runner;
using RunnerFactory = std::function<std::unique_ptr<Runner>(Worker&, OutputPort&)>;

enum class NodeKind {
  inlet,   // The host pushes.
  source,  // A worker makes events.
  stage,   // A worker handles events.
  outlet,  // The host pulls.
};

// "inlet", "source", "stage", "outlet".
std::string_view name_of(NodeKind kind);

struct Node {
  NodeKind kind = NodeKind::stage;
  std::string name;
  StageOptions options;
  std::vector<EventType> outputs;  // What it pushes, by position.
  RunnerFactory factory;           // Of a source or stage.
  bool wide = false;               // Its handler may run in several threads.
};

struct Edge {
  NodeIndex from;
  std::size_t output = 0;  // Of `from`, by position.
  NodeIndex to;
  Route route;
  EventType type;
  std::string fields;  // Of the event, or of the head of a record: fields.hpp.
};

// One output, and the route of a stream from there.
struct Tap {
  NodeIndex node;
  std::size_t output = 0;
  Route route;
};

struct Graph {
  std::string name;
  Indexed<NodeIndex, Node> nodes;  // In the order they were written, which is an order of flow.
  Indexed<EdgeIndex, Edge> edges;
  std::vector<std::pair<std::string, std::string>> arguments;  // Pipeline::argument().
  Settings defaults;  // Pipeline::default_setting(), all of them in the layer of the program.

  // Throws Error for a name that is taken or that could not stand in a variable's name. The others as in Node.
  NodeIndex add(NodeKind kind, std::string name, StageOptions options, std::vector<EventType> outputs,
                RunnerFactory factory);
  // The node of that name and kind; throws Error with the nearest name if there is none.
  NodeIndex find(std::string_view name, NodeKind kind) const;
  // Throws Error where what one output gives would come twice to the node that is about to be added.
  void refuse_twice(std::span<const Tap> taps, NodeKind kind, const std::string& name) const;
  // An edge into the node, for what all of them have in common; it has one at least.
  const Edge& edge_to(NodeIndex node) const noexcept;
};

}  // namespace detail
}  // namespace sluice
