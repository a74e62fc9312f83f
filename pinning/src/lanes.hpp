// SPDX-License-Identifier: Apache-2.0
// The lanes of a requested pipeline, and how many events each carries.
#pragma once

#include <vector>

#include <sluice/pinning/request.hpp>

namespace sluice::pinning {

struct RequestedLane {
  std::size_t flow = 0;
  std::size_t from = kHost;  // A worker, numbered through the stages, or the host.
  std::size_t to = kHost;
  double rate = 0;
};

// The flows as requested, or the chain of the stages where none are. Throws sluice::Error for a flow whose ends
// or rates do not fit the stages.
std::vector<Flow> flows_of(const PlanRequest& request);

// By flow, then by producer, then by consumer. A rate that was not measured is guessed: a source and a host push
// as much as the busiest flow that was measured, or one event if none was, and a stage pushes into each of its
// flows as many events as reach it.
std::vector<RequestedLane> lanes_of(const PlanRequest& request, const std::vector<Flow>& flows);

}  // namespace sluice::pinning
