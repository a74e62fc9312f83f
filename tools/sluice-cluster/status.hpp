// SPDX-License-Identifier: Apache-2.0
// What a cluster looks like, as a table of at most 80 columns, as JSON, and as metrics. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "owners.hpp"
#include "source_reads.hpp"
#include "state_log.hpp"
#include "unread_input.hpp"

namespace sluice::command {

struct ClusterStatus {
  std::string cluster;
  unsigned partitions = 0;
  std::map<std::string, detail::HostBeat> beats;
  detail::Hosts living;
  detail::Partitions entries;
  std::map<unsigned, detail::StateLogStatus> logs;
  std::map<unsigned, detail::PartitionLag> lags;  // Those that are known.
  std::map<unsigned, detail::CopyEntry> copies;
  std::map<unsigned, detail::FailingEntry> failing;
  std::map<std::string, std::uint64_t> refused;
  std::vector<detail::UnreadInput> unread;
  std::int64_t now_ns = 0;  // Since 1970, by this machine's clock; ages are told by it.
};

std::string to_text(const ClusterStatus& status);
std::string to_json(const ClusterStatus& status);
// In the text format of Prometheus, as `sluice serve` has the metrics of pipelines.
std::string to_metrics(const ClusterStatus& status);

// "here", "leaving" or "silent".
std::string_view state_of(const ClusterStatus& status, const std::string& host);
// What a person looks for: an owner that does not live is none.
std::string state_of(const ClusterStatus& status, unsigned partition);
unsigned owned_by(const ClusterStatus& status, const std::string& host);

}  // namespace sluice::command
