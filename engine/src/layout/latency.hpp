// SPDX-License-Identifier: Apache-2.0
// What latencies are measured with: stamps beside a lane, and histograms in a worker's region.
//
// A stamp says when the event at one position of a lane was published, and when that was published which it was made of,
// and so on, back to what a source or the host has published. The lane's producer writes it before the tail that
// covers the event; the consumer finds it when it comes to that position. A histogram has one writer, the worker, and any
// readers. Both are plain stores of single words: whoever reads while they are written sees one sample more or less, and so
// does the replacement of a worker that was killed in between. What stands there is a claim: a wrong word gives a wrong
// time in a statistic, and nothing else.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace sluice::detail {

// When the event at `position` was published, on CLOCK_MONOTONIC; 0: there is no such event. `born_ns`: when that of a source
// or the host was from which it comes; 0: not known.
struct Stamp {
  std::uint64_t position = 0;
  std::int64_t time_ns = 0;
  std::int64_t born_ns = 0;
};

// The stamps of one lane, in its producer's region.
struct alignas(128) LaneStamps {
  static constexpr std::size_t kKept = 8;

  struct Word {
    std::atomic<std::uint64_t> position;
    std::atomic<std::int64_t> time_ns;
    std::atomic<std::int64_t> born_ns;
  };
  // Written by the producer only.
  Word words[kKept];
  std::atomic<std::uint64_t> behind_newest;  // The position behind that of the stamp that was set last.

  // relaxed here and below: the tail that is published behind it makes it known, with everything before.
  void set(std::size_t turn, const Stamp& stamp) noexcept {
    Word& word = words[turn % kKept];
    word.position.store(stamp.position, std::memory_order_relaxed);
    word.time_ns.store(stamp.time_ns, std::memory_order_relaxed);
    word.born_ns.store(stamp.born_ns, std::memory_order_relaxed);
    behind_newest.store(stamp.position + 1, std::memory_order_relaxed);
  }
  // Whether one may be set at `position` or behind it: a reason to look. They are set in the order of their positions.
  bool any_from(std::uint64_t position) const noexcept {
    return behind_newest.load(std::memory_order_relaxed) > position;
  }
  // The first stamp of an event among the `bytes` from `position` on.
  Stamp first_in(std::uint64_t position, std::uint64_t bytes) const noexcept {
    Stamp found;
    std::uint64_t nearest = bytes;
    for (const Word& word : words) {
      const std::uint64_t at = word.position.load(std::memory_order_relaxed);
      if (at - position >= nearest) continue;
      nearest = at - position;
      found = {at, word.time_ns.load(std::memory_order_relaxed),
               word.born_ns.load(std::memory_order_relaxed)};
    }
    return found;
  }
};
static_assert(sizeof(LaneStamps) == 256);

// Times in nanoseconds, counted in buckets: one for each below 64, then 64 for each power of two, as in HdrHistogram
// (Gil Tene). A bucket is at most a 64th of its times wide, and what is told of it is its middle: at most 0.8 % away.
class Histogram {
 public:
  static constexpr unsigned kPieceBits = 6;
  static constexpr std::uint64_t kPieces = std::uint64_t{1} << kPieceBits;
  // Longer ones, from 73 minutes on, are counted as that.
  static constexpr unsigned kMostBits = 42;
  static constexpr std::size_t kBuckets = (kMostBits - kPieceBits + 1) * kPieces;

  static constexpr std::size_t bucket_of(std::uint64_t ns) noexcept {
    const std::uint64_t time = std::min(ns, (std::uint64_t{1} << kMostBits) - 1);
    if (time < kPieces) return time;
    const auto shift = static_cast<unsigned>(std::bit_width(time)) - kPieceBits - 1;
    return (shift + 1) * kPieces + (time >> shift) - kPieces;
  }
  static constexpr std::uint64_t least_of(std::size_t bucket) noexcept {
    if (bucket < kPieces) return bucket;
    return (kPieces + bucket % kPieces) << (bucket / kPieces - 1);
  }
  static constexpr std::uint64_t middle_of(std::size_t bucket) noexcept {
    return least_of(bucket) + (least_of(bucket + 1) - least_of(bucket)) / 2;
  }

  // By the one thread that owns it.
  void add(std::int64_t ns) noexcept {
    const auto time = static_cast<std::uint64_t>(std::max<std::int64_t>(ns, 0));
    add_to(buckets_[bucket_of(time)], 1);
    add_to(sum_ns_, time);
    add_to(count_, 1);
    if (time > most_ns_.load(std::memory_order_relaxed)) most_ns_.store(time, std::memory_order_relaxed);
  }

  // By any process, at any time; relaxed, since each word stands for itself.
  bool empty() const noexcept { return count_.load(std::memory_order_relaxed) == 0; }
  std::uint64_t in_bucket(std::size_t bucket) const noexcept {
    return buckets_[bucket].load(std::memory_order_relaxed);
  }
  std::uint64_t sum_ns() const noexcept { return sum_ns_.load(std::memory_order_relaxed); }
  std::uint64_t most_ns() const noexcept { return most_ns_.load(std::memory_order_relaxed); }

 private:
  static void add_to(std::atomic<std::uint64_t>& word, std::uint64_t amount) noexcept {
    // relaxed: one writer; no read-modify-write is needed.
    word.store(word.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }

  std::atomic<std::uint64_t> count_;
  std::atomic<std::uint64_t> sum_ns_;
  std::atomic<std::uint64_t> most_ns_;
  std::array<std::atomic<std::uint64_t>, kBuckets> buckets_;
};

// Of one worker, in its region, since the pipeline began.
struct alignas(64) Latencies {
  Histogram lane;     // From the commit that published an event until the worker came to it.
  Histogram handler;  // In the handler, without its waits for room in a lane.
  // From when what an event comes from was published by a source or the host until this worker had committed it.
  Histogram end_to_end;
};

}  // namespace sluice::detail
