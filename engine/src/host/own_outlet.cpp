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
  const std::optional<FullOutlet> full = outlet_behind(wiring, lane);
  if (!full || !is_own(host, wiring.edge(wiring.layout().lanes[full->lane]).to)) return std::nullopt;
  return full;
}

}  // namespace sluice::detail
