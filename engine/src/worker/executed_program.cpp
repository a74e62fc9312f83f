// SPDX-License-Identifier: Apache-2.0
#include "worker/executed_program.hpp"

#include <algorithm>
#include <optional>

namespace sluice::detail {
namespace {

std::optional<std::vector<std::string>>& program() {
  static std::optional<std::vector<std::string>> arguments;
  return arguments;
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

}  // namespace sluice::detail
