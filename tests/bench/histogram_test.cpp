// SPDX-License-Identifier: Apache-2.0
// The histograms that suites keep in shared memory, against the sorted times themselves.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <histogram.hpp>
#include <memory>
#include <random>
#include <shared.hpp>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

#include <gtest/gtest.h>

namespace sluice::bench {
namespace {

using namespace std::chrono_literals;

constexpr double kParts[] = {0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0};

double nearest_rank(std::vector<std::int64_t> sorted, double part) {
  const auto rank = static_cast<std::size_t>(std::ceil(part * static_cast<double>(sorted.size())));
  return static_cast<double>(sorted[std::max<std::size_t>(rank, 1) - 1]);
}

// From 1 ns to some seconds, each power of ten alike.
std::vector<std::int64_t> random_times(std::uint64_t seed, std::size_t count) {
  std::mt19937_64 random{seed};
  std::uniform_real_distribution<double> exponent{0, 9.5};
  std::vector<std::int64_t> times(count);
  std::ranges::generate(times, [&] { return static_cast<std::int64_t>(std::pow(10, exponent(random))); });
  return times;
}

void expect_quantiles_of(std::vector<std::int64_t> times, const Histogram& histogram) {
  std::ranges::sort(times);
  ASSERT_EQ(histogram.count(), times.size());
  for (const double part : kParts) {
    const double exact = nearest_rank(times, part);
    EXPECT_NEAR(histogram.quantile_ns(part), exact, exact * Histogram::kRelativeError) << "quantile " << part;
  }
}

TEST(Histogram, OfNothingHasNoTimes) {
  const Histogram histogram;
  EXPECT_EQ(histogram.count(), 0U);
  EXPECT_EQ(histogram.quantile_ns(0.5), 0);
  EXPECT_EQ(histogram.longest(), 0ns);
}

TEST(Histogram, KeepsShortTimesExactly) {
  for (std::int64_t time = 0; time < 256; ++time) {
    Histogram histogram;
    histogram.add(std::chrono::nanoseconds{time});
    histogram.add(1s);
    EXPECT_EQ(histogram.quantile_ns(0.5), static_cast<double>(time));
  }
}

TEST(Histogram, PutsEveryTimeBesideAPowerOfTwoWithinItsError) {
  for (unsigned bit = 1; bit < 36; ++bit) {
    for (const std::int64_t off : {-1, 0, 1}) {
      const std::int64_t time = (std::int64_t{1} << bit) + off;
      Histogram histogram;
      histogram.add(std::chrono::nanoseconds{time});
      histogram.add(Histogram::kMost);
      EXPECT_NEAR(histogram.quantile_ns(0.5), static_cast<double>(time),
                  static_cast<double>(time) * Histogram::kRelativeError);
    }
  }
}

TEST(Histogram, GivesTheQuantilesOfTheSortedTimesWithinItsError) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  const std::vector<std::int64_t> times = random_times(seed, 100'000);
  Histogram histogram;
  for (const std::int64_t time : times)
    histogram.add(std::chrono::nanoseconds{time});
  expect_quantiles_of(times, histogram);
}

TEST(Histogram, OfTwoPutTogetherIsThatOfAllTheirTimes) {
  const std::uint64_t seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  const std::vector<std::int64_t> times = random_times(seed, 20'000);
  Histogram first;
  Histogram second;
  for (std::size_t i = 0; i < times.size(); ++i)
    (i % 3 == 0 ? first : second).add(std::chrono::nanoseconds{times[i]});
  first.add(second);
  expect_quantiles_of(times, first);
}

TEST(Histogram, CountsWhatIsTooLongAsTheMostAndKeepsTheLongestExactly) {
  Histogram histogram;
  for (int i = 0; i < 9; ++i)
    histogram.add(200s);
  histogram.add(std::chrono::hours{24});
  EXPECT_EQ(histogram.count(), 10U);
  const auto most = static_cast<double>(Histogram::kMost.count());
  EXPECT_NEAR(histogram.quantile_ns(0.5), most, most * Histogram::kRelativeError);
  EXPECT_EQ(histogram.longest(), std::chrono::hours{24});
  EXPECT_EQ(histogram.quantile_ns(1), 86'400e9);
}

TEST(Histogram, CountsATimeBeforeTheStartAsNone) {
  Histogram histogram;
  histogram.add(-5ns);
  EXPECT_EQ(histogram.count(), 1U);
  EXPECT_EQ(histogram.quantile_ns(0.5), 0);
}

TEST(Histogram, IsWrittenByOneProcessAndReadByAnother) {
  const Shared<Histogram> histogram;
  const pid_t writer = ::fork();
  ASSERT_GE(writer, 0);
  if (writer == 0) {
    for (int i = 1; i <= 100; ++i)
      histogram->add(std::chrono::nanoseconds{i});
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(writer, &status, 0), writer);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(histogram->count(), 100U);
  EXPECT_EQ(histogram->quantile_ns(0.5), 50);
  EXPECT_EQ(histogram->longest(), 100ns);
}

}  // namespace
}  // namespace sluice::bench
