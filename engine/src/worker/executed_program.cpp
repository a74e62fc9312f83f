// SPDX-License-Identifier: Apache-2.0
#include "worker/executed_program.hpp"

#include <algorithm>
#include <mutex>
#include <optional>

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

std::optional<std::vector<std::string>>& program() {
  static std::optional<std::vector<std::string>> arguments;
  return arguments;
}

// What the program says of a pipeline. What its settings make of it may differ from one engine to the next.
struct Said {
  std::string name;
  std::vector<std::pair<std::string, std::string>> arguments;
  std::vector<std::string> nodes;

  explicit Said(const Graph& graph) : name{graph.name}, arguments{graph.arguments} {
    for (const Node& node : graph.nodes)
      nodes.push_back(node.name);
  }
  bool operator==(const Said&) const = default;
};

// Engines may be started by several threads, each its own.
std::mutex started_mutex;
std::optional<Said>& started() {
  static std::optional<Said> first;
  return first;
}

}  // namespace

const std::vector<std::string>& program_arguments() {
  return program().value();
}

void remember_program(std::vector<std::string> arguments) {
  program() = std::move(arguments);
}

bool has_executed_stages(const Graph& graph) {
  return program() && std::any_of(graph.nodes.begin(), graph.nodes.end(),
                                  [](const Node& node) { return node.options.hostile_input; });
}

void refuse_second_executed(const Graph& graph) {
  if (!has_executed_stages(graph)) return;
  const std::lock_guard lock{started_mutex};
  if (!started() || *started() == Said{graph}) return;
  throw Error{
      {"start the pipeline", graph.name,
       fmt::format("it has a stage with hostile_input, and so has the pipeline {} of this program, which is "
                   "another: the function of executed_worker() makes one of them only",
                   started()->name),
       "run each in a program of its own, or leave hostile_input out of one"}};
}

void remember_executed(const Graph& graph) {
  if (!has_executed_stages(graph)) return;
  const std::lock_guard lock{started_mutex};
  if (!started()) started().emplace(graph);
}

}  // namespace sluice::detail
