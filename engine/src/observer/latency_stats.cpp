// SPDX-License-Identifier: Apache-2.0
#include "observer/latency_stats.hpp"

#include <algorithm>
#include <vector>

#include "layout/latency.hpp"

namespace sluice::detail {
namespace {

// Histograms put together. They move while they are read: what is counted is what was found in the buckets.
class Timed {
 public:
  void add(const Histogram& histogram) {
    if (histogram.empty()) return;
    buckets_.resize(Histogram::kBuckets);
    for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
      // More than any worker can count is not from this code, and must not wrap the sum.
      const std::uint64_t events = std::min(histogram.in_bucket(i), std::uint64_t{1} << 48U);
      buckets_[i] += events;
      count_ += events;
    }
    constexpr std::uint64_t kMost = std::uint64_t{1} << 62U;
    sum_ns_ = std::min(kMost, sum_ns_ + std::min(histogram.sum_ns(), kMost));
    most_ns_ = std::max(most_ns_, std::min(histogram.most_ns(), kMost));
  }
  LatencyStats stats() const {
    LatencyStats stats;
    if (count_ == 0) return stats;
    stats.count = count_;
    stats.sum = std::chrono::nanoseconds{static_cast<std::int64_t>(sum_ns_)};
    stats.most = std::chrono::nanoseconds{static_cast<std::int64_t>(most_ns_)};
    stats.p50 = at_share(500);
    stats.p90 = at_share(900);
    stats.p99 = at_share(990);
    stats.p999 = at_share(999);
    std::size_t bucket = 0;
    std::uint64_t below = 0;
    for (std::size_t i = 0; i < LatencyStats::kBounds; ++i) {
      const auto bound = static_cast<std::uint64_t>(LatencyStats::bound(i).count());
      for (; bucket < Histogram::kBuckets && Histogram::least_of(bucket) < bound; ++bucket)
        below += buckets_[bucket];
      stats.below[i] = below;
    }
    return stats;
  }

 private:
  // Not less than so many thousandths of the events took.
  std::chrono::nanoseconds at_share(std::uint64_t thousandths) const {
    const std::uint64_t rank = (count_ / 1000) * thousandths + ((count_ % 1000) * thousandths + 999) / 1000;
    std::uint64_t seen = 0;
    std::size_t bucket = 0;
    for (; bucket + 1 < Histogram::kBuckets; ++bucket) {
      seen += buckets_[bucket];
      if (seen >= rank) break;
    }
    // No percentile is above the longest time that there was.
    const std::uint64_t ns = std::min(Histogram::middle_of(bucket), most_ns_);
    return std::chrono::nanoseconds{static_cast<std::int64_t>(ns)};
  }

  std::vector<std::uint64_t> buckets_;  // Empty while nothing was added.
  std::uint64_t count_ = 0;
  std::uint64_t sum_ns_ = 0;
  std::uint64_t most_ns_ = 0;
};

// Of one worker alone, or of all workers of a stage from `first` on.
LatencyStats latency_of(const SegmentMap& map, WorkerIndex first, std::size_t workers,
                        Histogram Latencies::*which) {
  Timed timed;
  WorkerIndex worker = first;
  for (std::size_t i = 0; i < workers; ++i) {
    timed.add(map.worker(worker).latencies().*which);
    ++worker;
  }
  return timed.stats();
}

}  // namespace

void read_latencies(const SegmentMap& map, WorkerIndex first, StageStats& stage) {
  WorkerIndex index = first;
  for (WorkerStats& worker : stage.workers) {
    worker.lane = latency_of(map, index, 1, &Latencies::lane);
    worker.handler = latency_of(map, index, 1, &Latencies::handler);
    worker.end_to_end = latency_of(map, index, 1, &Latencies::end_to_end);
    ++index;
  }
  stage.lane = latency_of(map, first, stage.workers.size(), &Latencies::lane);
  stage.handler = latency_of(map, first, stage.workers.size(), &Latencies::handler);
  stage.end_to_end = latency_of(map, first, stage.workers.size(), &Latencies::end_to_end);
}

}  // namespace sluice::detail
