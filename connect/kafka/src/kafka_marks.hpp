// SPDX-License-Identifier: Apache-2.0
// The watermarks of a worker as the metadata of an offset: "1 1f2e3d4c50200400 0:4096 3:128", which is a version, the origin of
// the worker's lane 0 in hexadecimal, and for each lane the position up to which its events were sent. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace sluice::detail {

// By EventId::origin.
using KafkaMarks = std::map<std::uint64_t, std::uint64_t>;

std::string to_metadata(std::uint64_t origin, const KafkaMarks& marks);
// None for what is no such text, or of another origin: another run's.
KafkaMarks marks_in(std::string_view metadata, std::uint64_t origin);

}  // namespace sluice::detail
