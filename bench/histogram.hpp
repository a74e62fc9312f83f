// SPDX-License-Identifier: Apache-2.0
// Counts of times in buckets whose width grows with the time, so that millions of them cost a fixed memory
// and their quantiles a fixed relative error.
//
// Made to lie in memory that processes share: one of them writes, others may read meanwhile and then see some
// recent moment. Times of less than 256 ns are kept exactly; above, every power of two has 128 buckets, and a
// quantile is the middle of one, at most kRelativeError off. What takes longer than kMost is counted as
// kMost; the longest time itself is always exact. Source: the HdrHistogram of G. Tene.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstdint>

namespace sluice::bench {

class Histogram {
 public:
  static constexpr double kRelativeError = 1.0 / 256;
  static constexpr unsigned kMostBits = 36;
  static constexpr std::chrono::nanoseconds kMost{(std::int64_t{1} << kMostBits) - 1};  // 68 s.

  // By the one writer. A time before 0 counts as 0.
  void add(std::chrono::nanoseconds time) noexcept {
    const auto value = static_cast<std::uint64_t>(std::max<std::int64_t>(0, time.count()));
    raise(counts_[bucket_of(std::min(value, kMostNs))], 1);
    raise(count_, 1);
    if (value > read(longest_ns_)) write(longest_ns_, value);
  }
  // By the one writer: what another one has counted, too.
  void add(const Histogram& other) noexcept {
    for (std::size_t bucket = 0; bucket < kBuckets; ++bucket)
      raise(counts_[bucket], read(other.counts_[bucket]));
    raise(count_, other.count());
    write(longest_ns_, std::max(read(longest_ns_), read(other.longest_ns_)));
  }

  std::uint64_t count() const noexcept { return read(count_); }
  std::chrono::nanoseconds longest() const noexcept {
    return std::chrono::nanoseconds{static_cast<std::int64_t>(read(longest_ns_))};
  }
  // The time that `part` of all times do not exceed, by the nearest rank; 0 when there are none.
  double quantile_ns(double part) const noexcept {
    const auto longest_ns = static_cast<double>(read(longest_ns_));
    const std::uint64_t count = this->count();
    if (count == 0) return 0;
    const auto rank = static_cast<std::uint64_t>(std::ceil(part * static_cast<double>(count)));
    if (rank >= count) return longest_ns;
    std::uint64_t passed = 0;
    for (std::size_t bucket = 0; bucket < kBuckets; ++bucket) {
      passed += read(counts_[bucket]);
      if (passed >= std::max<std::uint64_t>(rank, 1)) return std::min(middle_ns(bucket), longest_ns);
    }
    return longest_ns;
  }

 private:
  using Count = std::atomic<std::uint64_t>;
  static_assert(Count::is_always_lock_free);

  static constexpr unsigned kBits = 7;  // 2^kBits buckets for each power of two.
  static constexpr auto kMostNs = static_cast<std::uint64_t>(kMost.count());

  static constexpr std::size_t bucket_of(std::uint64_t value) noexcept {
    const auto width = static_cast<unsigned>(std::bit_width(value));
    const unsigned shift = width > kBits + 1 ? width - kBits - 1 : 0;
    return (static_cast<std::size_t>(shift) << kBits) + static_cast<std::size_t>(value >> shift);
  }
  static constexpr std::size_t kBuckets = std::size_t{kMostBits - kBits + 1} << kBits;

  static double middle_ns(std::size_t bucket) noexcept {
    constexpr std::size_t kExact = std::size_t{2} << kBits;
    if (bucket < kExact) return static_cast<double>(bucket);
    const std::size_t shift = (bucket >> kBits) - 1;
    const std::size_t first = (bucket - (shift << kBits)) << shift;
    return static_cast<double>(first) + static_cast<double>((std::size_t{1} << shift) - 1) / 2;
  }

  // relaxed: with one writer a count needs no more, and a reader makes do with any moment.
  static std::uint64_t read(const Count& count) noexcept { return count.load(std::memory_order_relaxed); }
  static void write(Count& count, std::uint64_t value) noexcept {
    count.store(value, std::memory_order_relaxed);  // relaxed: as above.
  }
  static void raise(Count& count, std::uint64_t by) noexcept { write(count, read(count) + by); }

  Count count_{0};
  Count longest_ns_{0};
  std::array<Count, kBuckets> counts_{};
};

}  // namespace sluice::bench
