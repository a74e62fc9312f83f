// SPDX-License-Identifier: Apache-2.0
// to_metrics(): a look at a cluster in the text format of Prometheus.
#include <algorithm>
#include <functional>
#include <iterator>
#include <numeric>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "status.hpp"

namespace sluice::command {
namespace {

// One family behind the other. Names of clusters, hosts and states need no escapes (is_cluster_name()).
class Families {
 public:
  explicit Families(const ClusterStatus& status) : status_{status} {}

  void of_host(std::string_view name, std::string_view type, std::string_view help,
               const std::function<std::uint64_t(const std::string& host)>& value) {
    head(name, type, help);
    for (const auto& [host, beat] : status_.beats)
      line(name, fmt::format("host=\"{}\"", host), std::to_string(value(host)));
  }
  // Those that have none are left out.
  void of_partition(std::string_view name, std::string_view type, std::string_view help,
                    const std::function<std::optional<std::string>(unsigned partition)>& value) {
    head(name, type, help);
    for (unsigned number = 0; number < status_.entries.size(); ++number) {
      if (const auto found = value(number); found)
        line(name, fmt::format("partition=\"{}\"", number), *found);
    }
  }
  // Its labels change: 1 for what is so.
  void states() {
    constexpr std::string_view kName = "sluice_cluster_partition_state";
    head(kName, "gauge", "1; the labels have the owner and the state of the partition.");
    for (unsigned number = 0; number < status_.entries.size(); ++number) {
      line(kName,
           fmt::format("partition=\"{}\",owner=\"{}\",state=\"{}\"", number, status_.entries[number].owner,
                       state_of(status_, number)),
           "1");
    }
  }

  // Of all streams together: 0 is what one looks for.
  void of_cluster(std::string_view name, std::string_view type, std::string_view help, std::uint64_t value) {
    head(name, type, help);
    fmt::format_to(std::back_inserter(text_), "{}{{cluster=\"{}\"}} {}\n", name, status_.cluster, value);
  }

  std::string text() && { return std::move(text_); }

 private:
  void head(std::string_view name, std::string_view type, std::string_view help) {
    fmt::format_to(std::back_inserter(text_), "# HELP {} {}\n# TYPE {} {}\n", name, help, name, type);
  }
  void line(std::string_view name, const std::string& labels, const std::string& value) {
    fmt::format_to(std::back_inserter(text_), "{}{{cluster=\"{}\",{}}} {}\n", name, status_.cluster, labels,
                   value);
  }

  const ClusterStatus& status_;
  std::string text_;
};

void add_lags(Families& families, const ClusterStatus& status) {
  const auto value = [&status](std::uint64_t detail::PartitionLag::*which) {
    return [&status, which](unsigned number) -> std::optional<std::string> {
      const auto lag = status.lags.find(number);
      if (lag == status.lags.end()) return std::nullopt;
      return std::to_string(lag->second.*which);
    };
  };
  families.of_partition("sluice_cluster_partition_lag_events", "gauge",
                        "Of the partition's input, what is in none of its checkpoints.",
                        value(&detail::PartitionLag::events));
  families.of_partition("sluice_cluster_partition_lag_bytes", "gauge", "About how many bytes that is.",
                        value(&detail::PartitionLag::bytes));
}

}  // namespace

std::string to_metrics(const ClusterStatus& status) {
  Families families{status};
  families.of_host("sluice_cluster_host_here", "gauge", "1 for a host whose heartbeats are heard.",
                   [&](const std::string& host) { return status.living.contains(host) ? 1U : 0U; });
  families.of_host("sluice_cluster_host_partitions", "gauge", "Partitions that the host owns.",
                   [&](const std::string& host) { return owned_by(status, host); });
  families.of_host("sluice_cluster_host_refused_checkpoints_total", "counter",
                   "Checkpoints of the host that were refused, since another one had the partition.",
                   [&](const std::string& host) {
                     const auto refused = status.refused.find(host);
                     return refused == status.refused.end() ? 0U : refused->second;
                   });
  families.states();
  families.of_partition("sluice_cluster_partition_epoch", "gauge", "How often the partition was claimed.",
                        [&](unsigned number) { return std::to_string(status.entries[number].epoch); });
  const auto log_of = [&status](unsigned number) -> const detail::StateLogStatus* {
    const auto log = status.logs.find(number);
    return log != status.logs.end() && log->second.bytes != 0 ? &log->second : nullptr;
  };
  families.of_partition(
      "sluice_cluster_partition_checkpoint_age_seconds", "gauge",
      "Since the last message of the partition's checkpoints was stored; one that rests stores none.",
      [&](unsigned number) -> std::optional<std::string> {
        const auto* log = log_of(number);
        if (log == nullptr) return std::nullopt;
        const std::int64_t age_ns = std::max<std::int64_t>(status.now_ns - log->time_ns, 0);
        return fmt::format("{:.3f}", static_cast<double>(age_ns) / 1e9);
      });
  families.of_partition("sluice_cluster_partition_stored_bytes", "gauge",
                        "Of the checkpoints that a takeover without a copy reads.",
                        [&](unsigned number) -> std::optional<std::string> {
                          const auto* log = log_of(number);
                          if (log == nullptr) return std::nullopt;
                          return std::to_string(log->bytes);
                        });
  add_lags(families, status);
  families.of_cluster(
      "sluice_cluster_unread_events", "gauge", "Of the input, what is for partitions that there are none of.",
      std::accumulate(status.unread.begin(), status.unread.end(), std::uint64_t{0},
                      [](std::uint64_t sum, const detail::UnreadInput& each) { return sum + each.events; }));
  families.of_partition("sluice_cluster_partition_copied", "gauge",
                        "1 where another host has a copy of the checkpoints and has restored it.",
                        [&](unsigned number) {
                          const auto copy = status.copies.find(number);
                          return std::to_string(copy != status.copies.end() && copy->second.ahead ? 1 : 0);
                        });
  families.of_partition(
      "sluice_cluster_partition_failures", "gauge", "How often the partition's process has failed in a row.",
      [&](unsigned number) {
        const auto failing = status.failing.find(number);
        return std::to_string(failing == status.failing.end() ? 0U : failing->second.failures);
      });
  return std::move(families).text();
}

}  // namespace sluice::command
