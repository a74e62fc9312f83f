// SPDX-License-Identifier: Apache-2.0
// What an observer must know of a pipeline to read its statistics from its segment: written by the host once,
// read by an observer, who trusts none of it.
//
// Bytes, not text: numbers of eight bytes in the order of this machine, which it never leaves, and texts
// behind their length. The first two numbers are a mark and the version of this, the text behind them is the version of
// Sluice; these stay where they are for good, so that another version can say which one it has met.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/settings.hpp>
#include <sluice/stats.hpp>

#include "layout/layout.hpp"
#include "observer/segment_stats.hpp"

namespace sluice::detail {

struct Description {
  std::string pipeline;
  std::uint64_t first_byte = 0;  // Of the first region in the segment's file.
  ipc::HugePages huge;           // What of it lies in files of huge pages.
  Layout layout;                 // Without what statistics do not need: undo logs, commit records, ends.
  Stats known;                   // What does not change: stages, workers, places, reports, version, start.
  std::vector<DescribedLane> lanes;    // As many as the layout has.
  std::vector<SettingValue> settings;  // Of this run, with their origins.
};

// Small letters, digits and '_', no digit first, and no label of the metrics' own: what a fact may be called.
bool is_fact_name(std::string_view name) noexcept;

// More has no pipeline: the lanes are what counts, and no kernel maps that many.
inline constexpr std::size_t kMostDescriptionBytes = std::size_t{64} << 20;

// The lanes of a pipeline, as observers call them.
std::vector<DescribedLane> described_lanes(const Graph& graph, const Layout& layout);

// The lanes put together that lead from one stage or inlet to one stage or outlet. `stages`: as in Stats.
std::vector<FlowStats> flows_of(const Layout& layout, const std::vector<DescribedLane>& lanes,
                                const std::vector<StageStats>& stages);

std::string to_bytes(const Description& description);

// Throws Error when another version wrote it, or when anything in it does not fit the rest; `source` is for
// the error. What is returned leads to no address outside the segment that it describes.
Description read_description(std::string_view bytes, const std::string& source);

}  // namespace sluice::detail
