// SPDX-License-Identifier: Apache-2.0
// How long events wait in their lane and take in the handler: the histograms, and what is timed of pipelines that run.
#include "layout/latency.hpp"

#include <cmath>
#include <memory>
#include <random>
#include <thread>

#include "observer/stats_json.hpp"
#include "watched.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using testing::HasSubstr;

TEST(Histogram, TellsEveryTimeWithinOnePercent) {
  std::mt19937_64 random{1};
  for (int i = 0; i < 100'000; ++i) {
    const std::uint64_t time = random() >> (22 + random() % 42);
    const std::size_t bucket = Histogram::bucket_of(time);
    ASSERT_LT(bucket, Histogram::kBuckets) << time;
    ASSERT_LE(Histogram::least_of(bucket), time);
    ASSERT_GT(Histogram::least_of(bucket + 1), time);
    const auto told = static_cast<double>(Histogram::middle_of(bucket));
    ASSERT_LE(std::abs(told - static_cast<double>(time)), 0.01 * static_cast<double>(time)) << time;
  }
}

TEST(Histogram, HasABucketForEveryTimeAndCountsTheLongestAsTheLast) {
  EXPECT_EQ(Histogram::bucket_of(0), 0U);
  EXPECT_EQ(Histogram::bucket_of(63), 63U);
  EXPECT_EQ(Histogram::bucket_of(64), 64U);
  EXPECT_EQ(Histogram::bucket_of(127), 127U);
  EXPECT_EQ(Histogram::bucket_of(128), 128U);
  EXPECT_EQ(Histogram::bucket_of(~std::uint64_t{0}), Histogram::kBuckets - 1);
  const auto histogram = std::make_unique<Histogram>();
  EXPECT_TRUE(histogram->empty());
  histogram->add(-5);
  histogram->add(std::int64_t{1} << 50);
  EXPECT_FALSE(histogram->empty());
  EXPECT_EQ(histogram->in_bucket(0), 1U);
  EXPECT_EQ(histogram->in_bucket(Histogram::kBuckets - 1), 1U);
  EXPECT_EQ(histogram->most_ns(), std::uint64_t{1} << 50);
}

TEST(LaneStamps, AreFoundByThePositionsThatAreToBeRead) {
  const auto stamps = std::make_unique<LaneStamps>();
  EXPECT_EQ(stamps->first_in(0, 4096).time_ns, 0);
  for (std::size_t i = 1; i <= 2 * LaneStamps::kKept; ++i)
    stamps->set(i, {i * 1000, static_cast<std::int64_t>(i)});
  EXPECT_EQ(stamps->first_in(9000, 1000).time_ns, 9);
  EXPECT_EQ(stamps->first_in(8001, 8000).time_ns, 9) << "the first of several";
  EXPECT_EQ(stamps->first_in(9001, 999).time_ns, 0) << "10000 is not among them";
  EXPECT_EQ(stamps->first_in(0, 9000).time_ns, 0) << "they were written over";
}

TEST(LaneStamps, TellWhoComesToNoneThatItNeedNotLook) {
  const auto stamps = std::make_unique<LaneStamps>();
  EXPECT_FALSE(stamps->any_from(0));
  stamps->set(0, {0, 1});
  EXPECT_TRUE(stamps->any_from(0)) << "the first event of a lane";
  EXPECT_FALSE(stamps->any_from(1));
  stamps->set(1, {1000, 2});
  EXPECT_TRUE(stamps->any_from(1));
  EXPECT_TRUE(stamps->any_from(1000));
  EXPECT_FALSE(stamps->any_from(1001));
}

// --- Pipelines that run ---

constexpr std::chrono::nanoseconds kTakes = 100us;

struct Doze {
  void operator()(const Item& item, Output<Item>& out) const {
    std::this_thread::sleep_for(kTakes);
    out.push(item);
  }
};

struct DozeOverBytes {
  void operator()(const Bytes& bytes, Output<Bytes>& out) const {
    std::this_thread::sleep_for(kTakes);
    out.push(bytes);
  }
};

struct DozeOverMany {
  void operator()(std::span<const Item> items, Output<Item>& out) const {
    std::this_thread::sleep_for(kTakes);
    out.push(items);
  }
};

struct DozyNumbers : Numbers {
  using Numbers::Numbers;
  bool operator()(Output<Item>& out) {
    std::this_thread::sleep_for(kTakes);
    return Numbers::operator()(out);
  }
};

void expect_order(const LatencyStats& latency) {
  EXPECT_GT(latency.count, 0U);
  EXPECT_LE(latency.p50, latency.p90);
  EXPECT_LE(latency.p90, latency.p99);
  EXPECT_LE(latency.p99, latency.p999);
  EXPECT_LE(latency.p999, latency.most);
  EXPECT_GE(latency.sum, latency.most);
  EXPECT_TRUE(std::is_sorted(latency.below.begin(), latency.below.end()));
  EXPECT_LE(latency.below.back(), latency.count);
}

class Latency : public WithSocket {
 protected:
  Settings timed() const {
    Settings settings = WithSocket::settings();
    settings.set("latency.sample", "100");
    settings.set("lane.slots", "512");
    settings.set("batch.events", "64");
    return settings;
  }
};

// Pushes `events` of them and pulls what comes out, which must be as many.
template <class T, class Made>
void run_through(Engine& engine, std::uint32_t events, Made&& made) {
  auto in = engine.inlet<T>("in");
  auto out = engine.outlet<T>("out");
  std::uint32_t pushed = 0;
  std::uint64_t pulled = 0;
  EXPECT_TRUE(eventually([&] {
    while (pushed < events && in.try_push(made(pushed)) == PushResult::accepted)
      ++pushed;
    pulled += out.poll([](const T&) {});
    return pulled == events;
  }));
}

TEST_F(Latency, OfEventsIsTheTimeInTheLaneAndInTheHandler) {
  constexpr std::uint32_t kEvents = 3000;
  Pipeline pipeline{"dozing"};
  pipeline.inlet<Item>("in").to<Doze>("doze").outlet("out");
  Engine engine{pipeline, timed()};
  engine.start();
  run_through<Item>(engine, kEvents, [](std::uint32_t i) { return Item{i, i}; });
  const Stats stats = Observer::attach(socket_).stats();
  const StageStats& doze = stats.stages.at(0);
  expect_order(doze.handler);
  expect_order(doze.lane);
  EXPECT_LE(doze.handler.count, kEvents / 100);
  EXPECT_GE(doze.handler.count, kEvents / 150 - 1)
      << "one in a hundred to a hundred and fifty, none is missed";
  EXPECT_EQ(doze.handler.count, doze.lane.count);
  EXPECT_GE(doze.handler.p50, kTakes - kTakes / 100);
  // The host is quicker, so that most events find a lane with some of the 512 before them.
  EXPECT_GE(doze.lane.p90, kTakes);
  EXPECT_EQ(doze.handler.count, doze.workers.at(0).handler.count);
  engine.stop();
}

TEST_F(Latency, OfRecordsAndOfSpansIsTimedAsWell) {
  constexpr std::uint32_t kEvents = 2000;
  const auto some = [](std::uint32_t i) { return std::string(i % 500, 'x'); };
  Pipeline records{"records"};
  records.inlet<Bytes>("in").to<DozeOverBytes>("doze").outlet("out");
  Settings settings = timed();
  settings.set("lane.bytes", "64KiB");
  std::vector<std::string> kept;
  for (std::uint32_t i = 0; i < kEvents; ++i)
    kept.push_back(some(i));
  {
    Engine engine{records, settings};
    engine.start();
    run_through<Bytes>(engine, kEvents, [&](std::uint32_t i) { return Bytes{kept[i]}; });
    const Stats stats = engine.stats();
    expect_order(stats.stages.at(0).handler);
    expect_order(stats.stages.at(0).lane);
    EXPECT_LE(stats.stages.at(0).handler.count, kEvents / 100 + 1);
    EXPECT_GE(stats.stages.at(0).handler.p50, kTakes - kTakes / 100);
    engine.stop();
  }
  Pipeline spans{"spans"};
  spans.inlet<Item>("in").to<DozeOverMany>("doze").outlet("out");
  Engine engine{spans, settings};
  engine.start();
  run_through<Item>(engine, kEvents, [](std::uint32_t i) { return Item{i, i}; });
  const Stats stats = engine.stats();
  expect_order(stats.stages.at(0).handler);
  EXPECT_LE(stats.stages.at(0).handler.count, kEvents / 100);
  EXPECT_GE(stats.stages.at(0).handler.p50, kTakes - kTakes / 100);
  engine.stop();
}

TEST_F(Latency, OfASourceIsTheTimeOfACallAndOfAFullLaneNotTheWaitForRoom) {
  Pipeline pipeline{"numbers"};
  pipeline.source<DozyNumbers>("numbers", 1000U).to<Echo>("echo").outlet("out");
  Settings settings = timed();
  settings.set("lane.slots", "2");
  Engine engine{pipeline, settings};
  engine.start();
  std::uint64_t pulled = 0;
  auto out = engine.outlet<Item>("out");
  EXPECT_TRUE(eventually([&] { return (pulled += out.poll([](const Item&) {})) == 1000; }));
  const Stats stats = engine.stats();
  expect_order(stats.stages.at(0).handler);
  EXPECT_EQ(stats.stages.at(0).lane.count, 0U);
  EXPECT_LE(stats.stages.at(0).handler.count, 11U);
  EXPECT_GE(stats.stages.at(0).handler.p50, kTakes - kTakes / 100);
  engine.stop();
}

// What it does outside comes with the flush of its batch.
class Deliver {
 public:
  static constexpr std::chrono::nanoseconds kFlushTakes = 1ms;

  explicit Deliver(Worker& worker) {
    worker.before_commit([](std::span<const Covered>) { std::this_thread::sleep_for(kFlushTakes); });
  }
  void operator()(const Item& item, Output<Item>& out) const {
    std::this_thread::sleep_for(kTakes);
    out.push(item);
  }
};

TEST_F(Latency, OfTheWholeWayIsFromTheHostUntilAStageHasFlushedAndCommitted) {
  constexpr std::uint32_t kEvents = 3000;
  Pipeline pipeline{"way"};
  pipeline.inlet<Item>("in")
      .to<Doze>("first")
      .to<Echo>("second", {.workers = 2})
      .to<Deliver>("deliver")
      .outlet("out");
  Engine engine{pipeline, timed()};
  engine.start();
  run_through<Item>(engine, kEvents, [](std::uint32_t i) { return Item{i, i}; });
  const Stats stats = Observer::attach(socket_).stats();
  expect_order(stats.stages.at(0).end_to_end);
  expect_order(stats.stages.at(1).end_to_end);
  EXPECT_EQ(stats.stages.at(0).end_to_end.count, stats.stages.at(0).lane.count)
      << "all of them come from the host";
  const LatencyStats& whole = stats.stages.at(2).end_to_end;
  expect_order(whole);
  EXPECT_LE(whole.count, kEvents / 100);
  EXPECT_EQ(whole.count, stats.stages.at(2).workers.at(0).end_to_end.count);
  constexpr auto kLeast = 2 * kTakes + Deliver::kFlushTakes;
  constexpr std::size_t kBoundBelow = 6;
  static_assert(LatencyStats::bound(kBoundBelow) < kLeast && LatencyStats::bound(kBoundBelow + 1) > kLeast);
  EXPECT_EQ(whole.below.at(kBoundBelow), 0U) << "none is shorter than what its stages and the flush take";
  engine.stop();
}

TEST_F(Latency, OfTheWholeWayIsToldOfRecordsAndOfSourcesAndOfOneStageAlone) {
  constexpr std::uint32_t kEvents = 2000;
  const std::string some(100, 'x');
  Pipeline records{"records"};
  records.inlet<Bytes>("in").to<DozeOverBytes>("first").to<DozeOverBytes>("second").outlet("out");
  Settings settings = timed();
  settings.set("lane.bytes", "64KiB");
  {
    Engine engine{records, settings};
    engine.start();
    run_through<Bytes>(engine, kEvents, [&](std::uint32_t) { return Bytes{some}; });
    const Stats stats = engine.stats();
    expect_order(stats.stages.at(0).end_to_end);
    expect_order(stats.stages.at(1).end_to_end);
    EXPECT_GE(stats.stages.at(1).end_to_end.p50, 2 * kTakes - kTakes / 50);
    engine.stop();
  }
  Pipeline numbers{"numbers"};
  numbers.source<Numbers>("numbers", kEvents).to<Doze>("doze").outlet("out");
  Engine engine{numbers, timed()};
  engine.start();
  std::uint64_t pulled = 0;
  auto out = engine.outlet<Item>("out");
  EXPECT_TRUE(eventually([&] { return (pulled += out.poll([](const Item&) {})) == kEvents; }));
  const Stats stats = engine.stats();
  EXPECT_EQ(stats.stages.at(0).end_to_end.count, 0U) << "a source";
  expect_order(stats.stages.at(1).end_to_end);
  EXPECT_GE(stats.stages.at(1).end_to_end.sum, stats.stages.at(1).handler.sum);
  engine.stop();
}

TEST_F(Latency, IsNotMeasuredUnlessItIsAskedFor) {
  const Watched run{settings()};
  const Snapshot seen = Observer::attach(socket_).snapshot();
  EXPECT_EQ(seen.stats.stages.at(0).handler.count, 0U);
  EXPECT_EQ(seen.stats.stages.at(0).lane.count, 0U);
  EXPECT_THAT(to_json(seen, {}, Rates{1s}, {}, monotonic_now()),
              HasSubstr("\"lane_latency\":null,\"handler_latency\":null,\"end_to_end_latency\":null"));
}

TEST_F(Latency, OfTheWorkersThatWereKilledStaysAndEveryEventTakesEffectOnce) {
  constexpr std::uint32_t kEvents = 6000;
  Engine engine{counting_pipeline(2), timed()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  auto out = engine.outlet<Counted>("out");
  const std::vector<Item> all = items(kEvents, 7);
  std::vector<Counted> got;
  std::uint32_t pushed = 0;
  std::uint32_t kills = 0;
  std::uint64_t timed_before = 0;
  EXPECT_TRUE(eventually([&] {
    while (pushed < kEvents && in.try_push(all[pushed]) == PushResult::accepted)
      ++pushed;
    out.poll([&](const Counted& counted) { got.push_back(counted); }, 200);
    if (got.size() / 500 > kills && engine.signal_worker("count/" + std::to_string(kills % 2), SIGKILL)) {
      ++kills;
      const LatencyStats now = engine.stats().stages.at(0).handler;
      EXPECT_GE(now.count, timed_before);
      timed_before = now.count;
    }
    return got.size() == kEvents;
  }));
  EXPECT_GT(kills, 0U);
  // Each key's events in order, none twice and none missing.
  std::vector<std::uint32_t> next(7, 0);
  for (const Counted& counted : got)
    EXPECT_EQ(counted.nth, next.at(counted.item.key)++);
  const LatencyStats now = engine.stats().stages.at(0).handler;
  expect_order(now);
  EXPECT_GE(now.count, timed_before);
  expect_order(engine.stats().stages.at(0).end_to_end);
  EXPECT_THAT(to_json(Observer::attach(socket_).snapshot(), {}, Rates{1s}, {}, monotonic_now()),
              HasSubstr("\"handler_latency\":{\"count\":"));
  engine.stop();
}

}  // namespace
}  // namespace sluice::test
