// SPDX-License-Identifier: Apache-2.0
#include "cluster_shape.hpp"

#include <sstream>

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>
#include <sluice/detail/plain_text.hpp>
#include <sluice/error.hpp>
#include <sluice/units.hpp>

namespace sluice::detail {
namespace {

[[noreturn]] void refuse(const std::string& bucket, const std::string& why, const std::string& remedy) {
  throw Error{{"join the cluster of", bucket, why, remedy}};
}

}  // namespace

// Versions that know of no name do not read behind the lease.
std::string to_text(const ClusterShape& shape) {
  return fmt::format("{} {} {}{}{}", shape.partitioner, shape.partitions, shape.lease.count(),
                     shape.pipeline.empty() ? "" : " ", shape.pipeline);
}

std::optional<ClusterShape> parse_shape(const std::string& text) {
  std::istringstream words = words_of(text);
  ClusterShape shape;
  std::int64_t lease = 0;
  if (!(words >> shape.partitioner >> shape.partitions >> lease) || shape.partitioner == 0 || lease <= 0)
    return std::nullopt;
  shape.lease = std::chrono::nanoseconds{lease};
  words >> shape.pipeline;
  return shape;
}

void require_same(const std::string& bucket, const ClusterShape& agreed, const ClusterShape& own) {
  if (!agreed.pipeline.empty() && !own.pipeline.empty() && agreed.pipeline != own.pipeline) {
    refuse(bucket,
           fmt::format("its first partition is the pipeline '{}', and that of this program is '{}'",
                       agreed.pipeline, own.pipeline),
           "run the same program on all hosts, and give each program a cluster of its own name");
  }
  if (agreed.partitioner != own.partitioner) {
    refuse(bucket,
           fmt::format(
               "its input is divided by version {} of sluice::Partitioner, and this program has version {}",
               agreed.partitioner, own.partitioner),
           "build all hosts, and who sends them input, with one version of Sluice");
  }
  if (agreed.partitions != own.partitions) {
    refuse(bucket,
           fmt::format("it has {}, and this program {}", counted(agreed.partitions, "partition"),
                       own.partitions),
           "run the same program on all hosts; another number of partitions is another cluster");
  }
  if (agreed.lease != own.lease) {
    refuse(
        bucket,
        fmt::format("its hosts have a lease of {}, and this one {}", format_duration(agreed.lease),
                    format_duration(own.lease)),
        fmt::format("give all hosts the same --lease; for another one let all leave, and change the shape: "
                    "nats kv put {} shape '{}'",
                    bucket, to_text(own)));
  }
}

void require_no_fewer(const std::string& bucket, unsigned known, const ClusterShape& own) {
  if (known <= own.partitions) return;
  refuse(
      bucket,
      fmt::format("something of its partition {} is stored, and this program has {}", known - 1,
                  counted(own.partitions, "partition")),
      "run the program that had as many: nobody would go on with the others; another number of partitions is "
      "another cluster");
}

}  // namespace sluice::detail
