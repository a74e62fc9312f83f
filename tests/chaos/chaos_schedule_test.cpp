// SPDX-License-Identifier: Apache-2.0
// When chaos hits, and what may be written to ask for it: no process, no clock but the test's.
#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/chaos_schedule.hpp>
#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using testing::AllOf;
using testing::HasSubstr;

ChaosOptions rates(double kill, double stall, double stop, std::uint64_t seed = 7) {
  return {.rates = {kill, stall, stop}, .seed = seed};
}

// All hits of the first `limit`, taken as they come due.
std::vector<Hit> hits(const ChaosOptions& options, nanoseconds limit) {
  ChaosSchedule schedule{options, 0ns};
  std::vector<Hit> all;
  while (schedule.next() && *schedule.next() <= limit)
    all.push_back(*schedule.take(*schedule.next()));
  return all;
}

std::vector<nanoseconds> times_of(Harm harm, const std::vector<Hit>& all) {
  std::vector<nanoseconds> times;
  for (const Hit& hit : all) {
    if (hit.harm == harm) times.push_back(hit.at);
  }
  return times;
}

TEST(ChaosSchedule, IsEmptyWhenAllRatesAreZero) {
  ChaosSchedule schedule{rates(0, 0, 0), 5s};
  EXPECT_EQ(schedule.next(), std::nullopt);
  EXPECT_EQ(schedule.take(1000h), std::nullopt);
}

TEST(ChaosSchedule, GivesNothingBeforeItIsDue) {
  ChaosSchedule schedule{rates(5, 0, 0), 100s};
  const nanoseconds due = *schedule.next();
  EXPECT_GE(due, nanoseconds{100s});
  EXPECT_EQ(schedule.take(due - 1ns), std::nullopt);
  const auto hit = schedule.take(due);
  ASSERT_TRUE(hit);
  EXPECT_EQ(hit->at, due);
  EXPECT_EQ(hit->harm, Harm::kill);
}

TEST(ChaosSchedule, HitsAsOftenAsTheRatesSay) {
  const std::vector<Hit> all = hits(rates(5, 0.2, 2), 10'000s);
  // Of a Poisson process: within five standard deviations of the mean.
  const auto near = [](double mean) {
    return AllOf(testing::Gt(mean - 5 * std::sqrt(mean)), testing::Lt(mean + 5 * std::sqrt(mean)));
  };
  EXPECT_THAT(static_cast<double>(times_of(Harm::kill, all).size()), near(50'000));
  EXPECT_THAT(static_cast<double>(times_of(Harm::stall, all).size()), near(2'000));
  EXPECT_THAT(static_cast<double>(times_of(Harm::stop, all).size()), near(20'000));
}

TEST(ChaosSchedule, HasExponentialGaps) {
  const std::vector<nanoseconds> times = times_of(Harm::kill, hits(rates(5, 0, 0), 10'000s));
  std::size_t longer_than_mean = 0;
  for (std::size_t i = 1; i < times.size(); ++i) {
    ASSERT_GE(times[i], times[i - 1]);
    if (times[i] - times[i - 1] > 200ms) ++longer_than_mean;
  }
  // A share of 1/e; regular gaps would give about a half.
  EXPECT_NEAR(static_cast<double>(longer_than_mean) / static_cast<double>(times.size()), 0.3679, 0.02);
}

TEST(ChaosSchedule, IsTheSameForTheSameSeedAndAnotherForAnother) {
  const auto same = [](const Hit& a, const Hit& b) {
    return a.at == b.at && a.harm == b.harm && a.choice == b.choice && a.pause == b.pause;
  };
  const std::vector<Hit> first = hits(rates(5, 1, 1), 60s);
  const std::vector<Hit> again = hits(rates(5, 1, 1), 60s);
  ASSERT_EQ(first.size(), again.size());
  EXPECT_TRUE(std::equal(first.begin(), first.end(), again.begin(), same));
  EXPECT_NE(times_of(Harm::kill, first), times_of(Harm::kill, hits(rates(5, 1, 1, 8), 60s)));
}

TEST(ChaosSchedule, KillsAtTheSameTimesWhateverTheOtherRates) {
  EXPECT_EQ(times_of(Harm::kill, hits(rates(5, 0, 0), 60s)), times_of(Harm::kill, hits(rates(5, 3, 9), 60s)));
}

TEST(ChaosSchedule, StopsFor50To500Milliseconds) {
  nanoseconds shortest = 1h;
  nanoseconds longest = 0s;
  for (const Hit& hit : hits(rates(0, 0, 10), 1'000s)) {
    shortest = std::min(shortest, hit.pause);
    longest = std::max(longest, hit.pause);
  }
  EXPECT_THAT(shortest, AllOf(testing::Ge(nanoseconds{50ms}), testing::Lt(nanoseconds{60ms})));
  EXPECT_THAT(longest, AllOf(testing::Le(nanoseconds{500ms}), testing::Gt(nanoseconds{490ms})));
}

TEST(ChaosSchedule, DoesNotMakeUpForALongPauseOfItsCaller) {
  ChaosSchedule schedule{rates(100, 0, 0), 0ns};
  const nanoseconds late = 3600s;
  std::size_t taken = 0;
  while (schedule.take(late))
    ++taken;
  // A moment's worth (100 ms at 100/s), not an hour's.
  EXPECT_LT(taken, 60U);
  EXPECT_GT(*schedule.next(), late);
}

std::string fault_of(const std::string& text) {
  try {
    parse_chaos(text);
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(ChaosOptions, AreWhatIsNamedAndTheDefaultsWhereNothingIs) {
  const ChaosOptions options = parse_chaos("stop=12/min seed=99");
  EXPECT_EQ(options.rate(Harm::kill), 0);
  EXPECT_EQ(options.rate(Harm::stall), 0);
  EXPECT_EQ(options.rate(Harm::stop), 0.2);
  EXPECT_EQ(options.seed, 99U);
  EXPECT_EQ(parse_chaos("").rates, ChaosOptions{}.rates);
  EXPECT_EQ(parse_chaos("seed=99").rates, ChaosOptions{}.rates);
  EXPECT_NE(parse_chaos("").seed, parse_chaos("").seed);
}

TEST(ChaosOptions, AreWrittenAsTheyAreRead) {
  const ChaosOptions options = parse_chaos("kill=7/min stall=0 stop=1.25/s seed=18446744073709551615");
  EXPECT_EQ(to_text(options), "kill=7/min stall=0 stop=1.25/s seed=18446744073709551615");
  EXPECT_EQ(parse_chaos(to_text(options)), options);
}

TEST(ChaosOptions, RefuseWhatTheyDoNotUnderstandAndSayWhatWouldDo) {
  EXPECT_THAT(fault_of("kill=5"),
              AllOf(HasSubstr("'5' of kill"), HasSubstr("unit is missing"), HasSubstr("5/s")));
  EXPECT_THAT(fault_of("kill=5000/s"), HasSubstr("more than 1000/s"));
  EXPECT_THAT(fault_of("stop=-1/s"), HasSubstr("negative"));
  EXPECT_THAT(fault_of("maim=5/s"), AllOf(HasSubstr("'maim'"), HasSubstr("kill, stall, stop and seed")));
  EXPECT_THAT(fault_of("5/s"), AllOf(HasSubstr("'5/s'"), HasSubstr("no key=value")));
  EXPECT_THAT(fault_of("seed=often"), HasSubstr("'often'"));
}

TEST(ChaosOptions, NeedARestartBudgetBeyondTheDeathsOfAWindow) {
  EXPECT_GT(restart_budget_for(rates(5, 0.2, 0)), 5.2 * 60);
  EXPECT_GT(restart_budget_for(rates(1000, 1000, 0)), 60'000U);
  EXPECT_LE(restart_budget_for(rates(1000, 1000, 0)), 1U << 20U) << "what the setting allows";
}

}  // namespace
}  // namespace sluice::detail
