// SPDX-License-Identifier: Apache-2.0
// What all hosts of a cluster have to agree on, as the first of them has written it into the bucket. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include <sluice/partitioner.hpp>

namespace sluice::detail {

struct ClusterShape {
  unsigned partitions = 0;
  std::chrono::nanoseconds lease{};
  std::string
      pipeline{};  // The name of the first partition's; empty: a version that does not say it has written the shape.
  unsigned partitioner = Partitioner::kVersion;  // By which its input is divided.

  friend bool operator==(const ClusterShape&, const ClusterShape&) = default;
};

// As the bucket has it; nothing for what is none.
std::string to_text(const ClusterShape& shape);
std::optional<ClusterShape> parse_shape(const std::string& text);

// Throws Error for a host that is another one than the bucket says.
void require_same(const std::string& bucket, const ClusterShape& agreed, const ClusterShape& own);
// The same where the bucket does not say it any more, and something is known of so many partitions.
void require_no_fewer(const std::string& bucket, unsigned known, const ClusterShape& own);

}  // namespace sluice::detail
