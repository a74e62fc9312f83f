// SPDX-License-Identifier: Apache-2.0
// What a cluster looks like, as a table of at most 80 columns and as JSON. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "owners.hpp"
#include "state_log.hpp"

namespace sluice::command {

struct ClusterStatus {
  std::string cluster;
  unsigned partitions = 0;
  std::map<std::string, detail::HostBeat> beats;
  detail::Hosts living;
  detail::Partitions entries;
  std::map<unsigned, detail::StateLogStatus> logs;
  std::map<unsigned, detail::CopyEntry> copies;
  std::map<unsigned, detail::FailingEntry> failing;
  std::map<std::string, std::uint64_t> refused;
  std::int64_t now_ns = 0;  // Since 1970, by this machine's clock; ages are told by it.
};

std::string to_text(const ClusterStatus& status);
std::string to_json(const ClusterStatus& status);

}  // namespace sluice::command
