// SPDX-License-Identifier: Apache-2.0
// Reads the latencies of a stage from the histograms of its workers: percentiles of each, and of all together. Blocks
// nobody and writes nothing; the histograms may move meanwhile.
#pragma once

#include <sluice/stats.hpp>

#include "layout/segment_map.hpp"

namespace sluice::detail {

// `first`: the first of the stage's workers, of which `stage` has all.
void read_latencies(const SegmentMap& map, WorkerIndex first, StageStats& stage);

}  // namespace sluice::detail
