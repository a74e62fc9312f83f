// SPDX-License-Identifier: Apache-2.0
// What the process of a partition does: takes the chain of its checkpoints, restores from it, and runs the pipeline. And what
// that of a copy does: it follows the chain.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>

#include <sluice/cluster.hpp>
#include <sluice/main.hpp>

#include "apart.hpp"
#include "partition_process.hpp"
#include "state_log.hpp"

namespace sluice::detail {

struct PartitionOptions {
  Partition partition{};
  std::uint64_t epoch = 0;
  // The partition runs elsewhere yet: it is restored, and goes on once the agent says with which epoch.
  bool ahead = false;
  bool awaited = false;  // And somebody waits for that.
  // Of a process beside it that claims or fetches, before it is taken for one that somebody has stopped.
  std::chrono::milliseconds silence = kLongestSilence;
  std::string host{};
  std::filesystem::path data{};  // Of the host; the partition has a directory in it.
  StandardOptions standard{};
};

// The settings that a partition runs with: those of the user, but that what leaves the pipeline waits for checkpoints. Throws
// Error for those that would lose the promise.
Settings settings_of(const PartitionOptions& options, const Pipeline& pipeline);

// Where the checkpoints of a partition lie on its host, and their log.
std::filesystem::path checkpoints_of(const PartitionOptions& options);
StateLogOptions log_of(const PartitionOptions& options);

// Copies the partition's checkpoints as they are stored, until the agent is gone. Never `finished`.
PartitionEnd follow_partition(const PartitionOptions& options);
// The same, until told() says no; it is called each time that everything is there.
PartitionEnd follow_partition(const PartitionOptions& options,
                              const std::function<bool(const FetchedState&)>& told);

// The same, until somebody gives the order to claim them; they are claimed then, and all that is stored is there: `finished`. Throws
// Fenced, and Error for what only a person can mend.
PartitionEnd follow_partition(const PartitionOptions& options,
                              const std::function<bool(const FetchedState&)>& told, ClaimOrder& order);
// Of a partition that is claimed: says what was there already. Throws Error where what was stored is gone.
void look_at_fetched(const PartitionOptions& options, const FetchedState& fetched, StateLog& log);

// Copies them as well, in a process of its own, and calls restore() for what has come, until the agent says with which epoch to go
// on. Nothing if it never does, and why. restore() says false when it is to be tried again, after a pause that doubles.
struct Ahead {
  std::optional<std::uint64_t> epoch{};
  PartitionEnd end = PartitionEnd::failed;
  // With that epoch, and all that is stored is there: that is its end. Else both are still to be done.
  bool claimed = false;
};
Ahead stand_by(const PartitionOptions& options, const std::function<bool()>& restore);

// The number of the newest file there; 0 if there is none.
std::uint64_t newest_in(const std::filesystem::path& directory);

// Throws Error.
PartitionEnd run_partition(const Cluster& cluster, const PartitionOptions& options);

}  // namespace sluice::detail
