// SPDX-License-Identifier: Apache-2.0
// The wiring: what every process of a pipeline has in common, fixed before the first fork.
#pragma once

#include <filesystem>
#include <vector>

#include <sluice/detail/clock.hpp>
#include <sluice/graph.hpp>
#include <sluice/ipc/doorbell.hpp>
#include <sluice/ipc/segment.hpp>
#include <sluice/settings.hpp>

#include "layout/layout.hpp"

namespace sluice::detail {

struct Wiring {
  const Graph& graph;
  const Layout& layout;
  const Settings& settings;
  ipc::Segment& segment;
  const std::vector<ipc::Doorbell>& bells;  // One a process.
  const std::filesystem::path& reports;     // The directory for reports and dead letters; made when needed.
};

}  // namespace sluice::detail
