// SPDX-License-Identifier: Apache-2.0
// A plan for people and for programs: a text, JSON, a drawing. Pure.
#pragma once

#include <string>

#include <sluice/pinning/plan.hpp>

namespace sluice::pinning {

// What was planned: `plan` is the plan of this machine and this request.
struct Planned {
  const Topology& topology;
  const PlanRequest& request;
  const Plan& plan;
};

// Workers with OS and logical indexes, flows with their ways and the nodes of their lanes, cost, memory, remarks.
std::string explain(const Planned& planned);

// All of it, every lane included, as one JSON object.
std::string to_json(const Planned& planned);

// Packages, nodes, caches, cores and workers, and the lanes coloured by distance, as an SVG document.
std::string to_svg(const Planned& planned);

// The machine alone: a line for each package, node, cache and core.
std::string to_text(const Topology& topology);

}  // namespace sluice::pinning
