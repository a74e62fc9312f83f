// SPDX-License-Identifier: Apache-2.0
#include "layout/worker_counts.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include <fmt/format.h>

#include <sluice/pinning/claims.hpp>
#include <sluice/pinning/cores.hpp>
#include <sluice/pinning/measured.hpp>

#include "layout/layout.hpp"

namespace sluice::detail {

static_assert(cores == pinning::kCores);

namespace {

pinning::Traffic traffic_of(const Route& route) {
  return route.kind == RouteKind::broadcast ? pinning::Traffic::broadcast : pinning::Traffic::routed;
}

// "stage parse: 3 workers", as shape.cpp writes it; nothing if the shape has no such stage.
std::optional<unsigned> workers_in(std::string_view shape, const Node& node) {
  const std::string subject = fmt::format("{} {}: ", name_of(node.kind), node.name);
  while (!shape.empty()) {
    std::string_view line = shape.substr(0, shape.find('\n'));
    shape.remove_prefix(std::min(line.size() + 1, shape.size()));
    if (!line.starts_with(subject)) continue;
    line.remove_prefix(subject.size());
    unsigned workers = 0;
    const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), workers);
    const std::string_view unit{end, static_cast<std::size_t>(line.data() + line.size() - end)};
    if (error == std::errc{} && unit.starts_with(" worker") && workers >= 1 && workers <= kMostReplicas)
      return workers;
  }
  return std::nullopt;
}

}  // namespace

pinning::PlanRequest request_of(const Graph& graph, const PipelineSettings& settings) {
  pinning::PlanRequest request;
  request.policy = settings.placement.policy;
  request.reserved = settings.placement.reserved;
  request.isolated = settings.placement.isolated;
  request.smt = settings.placement.smt;
  Indexed<NodeIndex, std::size_t> stage_of;
  for (const NodeIndex n : graph.nodes.indices()) {
    const StageSettings& stage = settings.nodes[n];
    stage_of.push_back(stage.workers == 0 ? pinning::kHost : request.stages.size());
    if (stage.workers == 0) continue;
    request.stages.push_back({.name = graph.nodes[n].name,
                              .workers = static_cast<unsigned>(stage.workers),
                              .threads = stage.threads,
                              .place = stage.place});
  }
  for (const EdgeIndex e : graph.edges.indices()) {
    const Edge& edge = graph.edges[e];
    request.flows.push_back(
        {.from = stage_of[edge.from], .to = stage_of[edge.to], .traffic = traffic_of(edge.route)});
  }
  return pinning::with_measured(std::move(request), settings.placement.measured);
}

PipelineSettings with_worker_counts(const Graph& graph, PipelineSettings settings,
                                    const std::function<std::optional<std::string>()>& kept_shape) {
  const auto open = [](const StageSettings& stage) { return stage.workers == pinning::kCores; };
  if (std::none_of(settings.nodes.begin(), settings.nodes.end(), open)) return settings;
  // What is in the regions of so many workers can be gone on with by so many only.
  if (const auto shape = kept_shape(); shape) {
    for (const NodeIndex n : graph.nodes.indices()) {
      StageSettings& stage = settings.nodes[n];
      if (open(stage)) stage.workers = workers_in(*shape, graph.nodes[n]).value_or(pinning::kCores);
    }
  }
  if (std::none_of(settings.nodes.begin(), settings.nodes.end(), open)) return settings;
  pinning::PlanRequest request = request_of(graph, settings);
  if (settings.claims) request.claims = pinning::claims_of_others({});
  request = pinning::with_cores(pinning::read_topology(), std::move(request));
  std::size_t at = 0;
  for (StageSettings& stage : settings.nodes) {
    if (stage.workers != 0) stage.workers = request.stages[at++].workers;
  }
  return settings;
}

std::vector<std::size_t> takers_of_cores(const PipelineSettings& settings) {
  std::vector<std::size_t> takers;
  std::size_t at = 0;
  for (const StageSettings& stage : settings.nodes) {
    if (stage.takes_cores) takers.push_back(at);
    if (stage.workers != 0) ++at;
  }
  return takers;
}

std::vector<std::string> remarks_on_counts(const pinning::Topology& topology,
                                           const pinning::PlanRequest& request,
                                           const std::vector<std::size_t>& takers) {
  std::vector<std::string> remarks;
  if (takers.empty()) return remarks;
  pinning::PlanRequest again = request;
  for (const std::size_t stage : takers)
    again.stages[stage].workers = pinning::kCores;
  again = pinning::with_cores(topology, std::move(again));
  for (const std::size_t stage : takers) {
    const unsigned has = request.stages[stage].workers;
    const unsigned would = again.stages[stage].workers;
    if (has == would) continue;
    remarks.push_back(
        fmt::format("{} has {} worker{}, as when its memory was made: there would be cores for {} now",
                    request.stages[stage].name, has, has == 1 ? "" : "s", would));
  }
  return remarks;
}

}  // namespace sluice::detail
