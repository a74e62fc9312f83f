// SPDX-License-Identifier: Apache-2.0
#include "host/own_outlet.hpp"

#include <filesystem>
#include <iterator>
#include <system_error>

#include "host/host.hpp"

namespace sluice::detail {
namespace {

bool is_the_only_thread() {
  std::error_code error;
  std::filesystem::directory_iterator tasks{"/proc/self/task", error};
  return !error && std::distance(tasks, {}) == 1;
}

bool is_own(Host& host, NodeIndex node) {
  for (const HostOutlet& outlet : host.outlets()) {
    if (outlet.node() != node) continue;
    const void* user = outlet.user();
    return user == nullptr ? is_the_only_thread() : user == this_thread();
  }
  return false;
}

}  // namespace

std::optional<FullOutlet> own_outlet_behind(Host& host, LaneIndex lane) {
  const Wiring& wiring = host.wiring();
  const auto& lanes = wiring.layout().lanes;
  // No way is longer than all lanes.
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    const LaneLayout& full = lanes[lane];
    if (full.consumer == kHostProcess) {
      if (!is_own(host, wiring.edge(full).to)) return std::nullopt;
      // relaxed here and below: what is looked at twice need not be in order.
      return FullOutlet{lane, wiring.lane(lane).consumer->head.load(std::memory_order_relaxed)};
    }
    const ipc::Control& worker = wiring.process(full.consumer).control();
    if (worker.activity.load(std::memory_order_relaxed) != ipc::Activity::full) return std::nullopt;
    const std::uint64_t awaited = worker.awaited_lane.load(std::memory_order_relaxed);
    // A worker may write anything there.
    if (awaited == 0 || awaited > lanes.size()) return std::nullopt;
    lane = LaneIndex{awaited - 1};
    if (lanes[lane].producer != full.consumer) return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace sluice::detail
