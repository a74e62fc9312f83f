// SPDX-License-Identifier: Apache-2.0
// What the process of a partition does: takes the chain of its checkpoints, restores from it, and runs the pipeline. And what
// that of a copy does: it follows the chain.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include <sluice/cluster.hpp>
#include <sluice/main.hpp>

#include "partition_process.hpp"
#include "state_log.hpp"

namespace sluice::detail {

struct PartitionOptions {
  Partition partition{};
  std::uint64_t epoch = 0;
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

// Throws Error.
PartitionEnd run_partition(const Cluster& cluster, const PartitionOptions& options);

}  // namespace sluice::detail
