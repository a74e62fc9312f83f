// SPDX-License-Identifier: Apache-2.0
#include "observer/latency_stats.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "layout/latency.hpp"

namespace sluice::detail {
namespace {

// Histograms put together. They move while they are read: what is counted is what was found in the buckets.
class Timed {
 public:
  Timed() = default;
  explicit Timed(const Histogram& histogram) {
    if (histogram.empty()) return;
    buckets_.resize(Histogram::kBuckets);
    for (std::size_t i = 0; i < Histogram::kBuckets; ++i) {
      // More than any worker can count is not from this code, and must not wrap a sum.
      buckets_[i] = std::min(histogram.in_bucket(i), std::uint64_t{1} << 48U);
      count_ += buckets_[i];
    }
    sum_ns_ = std::min(kMost, histogram.sum_ns());
    most_ns_ = std::min(kMost, histogram.most_ns());
  }
  void add(Timed other) {
    if (buckets_.empty()) {
      *this = std::move(other);
      return;
    }
    for (std::size_t i = 0; i < other.buckets_.size(); ++i)
      buckets_[i] += other.buckets_[i];
    count_ += other.count_;
    sum_ns_ = std::min(kMost, sum_ns_ + other.sum_ns_);
    most_ns_ = std::max(most_ns_, other.most_ns_);
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
  static constexpr std::uint64_t kMost = std::uint64_t{1} << 62U;

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

// Of each worker from `first` on, and of all of them; each histogram is read once.
void read_one(const SegmentMap& map, WorkerIndex first, StageStats& stage, Histogram Latencies::*which,
              LatencyStats WorkerStats::*of_worker, LatencyStats StageStats::*of_stage) {
  Timed all;
  WorkerIndex index = first;
  for (WorkerStats& worker : stage.workers) {
    Timed timed{map.worker(index).latencies().*which};
    worker.*of_worker = timed.stats();
    all.add(std::move(timed));
    ++index;
  }
  stage.*of_stage = stage.workers.size() == 1 ? stage.workers.front().*of_worker : all.stats();
}

}  // namespace

void read_latencies(const SegmentMap& map, WorkerIndex first, StageStats& stage) {
  read_one(map, first, stage, &Latencies::lane, &WorkerStats::lane, &StageStats::lane);
  read_one(map, first, stage, &Latencies::handler, &WorkerStats::handler, &StageStats::handler);
  read_one(map, first, stage, &Latencies::end_to_end, &WorkerStats::end_to_end, &StageStats::end_to_end);
}

}  // namespace sluice::detail
