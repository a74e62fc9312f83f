// SPDX-License-Identifier: Apache-2.0
// Reads the statistics of a pipeline from its segment: for its host, and for observers, who have nothing
// else.
//
// Blocks no process and writes nothing. What the segment says is checked as far as it is used to find
// anything.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/stats.hpp>

#include "layout/segment_map.hpp"

namespace sluice::detail {

// `stats` has what does not change: the stages with all their workers and the flows with the number of their lanes, in
// the order of the layout.
void read_stats(const SegmentMap& map, Stats& stats);
// The same but for the latencies, whose histograms are most of what read_stats() reads.
void read_counts(const SegmentMap& map, Stats& stats);

// Of a lane, what does not change.
struct DescribedLane {
  std::string from;
  std::string to;
  std::uint64_t event_bytes = 0;  // 0: records.
};
// `described`: every lane of the layout, in its order. Records are counted one by one, and nobody waits for it.
void read_lanes(const SegmentMap& map, const std::vector<DescribedLane>& described,
                std::vector<LaneStats>& lanes);

// Text of another process, which may lack its end.
template <std::size_t kMost>
std::string_view text_of(const char (&text)[kMost]) noexcept {
  return std::string_view{text, kMost}.substr(0, std::string_view{text, kMost}.find('\0'));
}

}  // namespace sluice::detail
