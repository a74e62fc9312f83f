// SPDX-License-Identifier: Apache-2.0
// The process that keeps a copy of a partition's checkpoints.
#include <cstdio>

#include <sluice/printable.hpp>
#include <sluice/unavailable.hpp>

#include "partition_run.hpp"

namespace sluice::detail {
namespace {

PartitionEnd tell_away(const PartitionOptions& options, const Unavailable& away) {
  std::fprintf(stderr, "copy of partition %u: away: %s\n", options.partition.number,
               printable_message(away.what()).c_str());
  return PartitionEnd::away;
}

}  // namespace

std::filesystem::path checkpoints_of(const PartitionOptions& options) {
  return options.data / options.partition.cluster / options.host / ("partition-" + options.partition.text());
}

StateLogOptions log_of(const PartitionOptions& options) {
  return {.server = options.partition.server,
          .cluster = options.partition.cluster,
          .partition = options.partition.number,
          .host = options.host};
}

PartitionEnd follow_partition(const PartitionOptions& options,
                              const std::function<bool(const FetchedState&)>& told) {
  try {
    StateLog log{log_of(options)};
    log.follow(checkpoints_of(options), told);
  } catch (const Unavailable& away) {
    return tell_away(options, away);
  }
  return PartitionEnd::failed;
}

PartitionEnd follow_partition(const PartitionOptions& options,
                              const std::function<bool(const FetchedState&)>& told, ClaimOrder& order) {
  try {
    StateLog log{log_of(options)};
    const auto fetched = log.follow(checkpoints_of(options), told, &order);
    if (!fetched) return PartitionEnd::failed;
    look_at_fetched(options, *fetched, log);
    return PartitionEnd::finished;
  } catch (const Unavailable& away) {
    return tell_away(options, away);
  }
}

PartitionEnd follow_partition(const PartitionOptions& options) {
  bool ready = false;
  return follow_partition(options, [&ready](const FetchedState&) {
    if (!ready) ready = tell_agent_ready();
    return ready;
  });
}

}  // namespace sluice::detail
