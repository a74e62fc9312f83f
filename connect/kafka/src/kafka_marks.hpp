// SPDX-License-Identifier: Apache-2.0
// The watermarks of a worker as the metadata of an offset: "2 1f2e3d4c50200400 17 0:4096 3:128", which is a version, the origin of
// the worker's lane 0 in hexadecimal, its life (Worker::life()), and for each lane the position up to which its events were sent.
// Version 1 has no life. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace sluice::detail {

// By EventId::origin.
using KafkaMarks = std::map<std::uint64_t, std::uint64_t>;

struct KafkaProgress {
  std::uint64_t life = 0;
  KafkaMarks marks;

  bool operator==(const KafkaProgress&) const = default;
};

std::string to_metadata(std::uint64_t origin, const KafkaProgress& progress);
// None for what is no such text, or of another origin: another run's.
KafkaProgress progress_in(std::string_view metadata, std::uint64_t origin);

}  // namespace sluice::detail
