// SPDX-License-Identifier: Apache-2.0
#include "fan_out/wide.hpp"

#include <algorithm>
#include <string>
#include <thread>

#include <oneapi/tbb/blocked_range.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/task_arena.h>

#include <sluice/sluice.hpp>
#include <sluice/wide.hpp>

namespace sluice::bench {
namespace {

constexpr std::uint64_t kEvents = 1'000'000;
constexpr std::uint64_t kBlock = 2048;  // What parallel_for gets at once, as a worker gets a batch.
constexpr unsigned kRounds = 500;       // Each waits for the one before.

FanResult crunch(const FanEvent& event) noexcept {
  FanResult result = handle(event);
  for (unsigned round = 0; round < kRounds; ++round)
    result.checksum = (result.checksum ^ (result.checksum >> 15U)) * 0x85ebca6bU + round;
  return result;
}

struct Crunch {
  void operator()(const FanEvent& event, Output<FanResult>& out) const { out.push(crunch(event)); }
};

class WideDeal {
 public:
  WideDeal(Worker& worker, std::uint64_t events)
      : events_{events}, next_{worker.state<std::uint64_t>("next")} {}
  bool operator()(Output<FanEvent>& out) {
    if (*next_ == 0 && told().first_ns.load() == 0) told().begin();
    if (*next_ == events_) return false;
    out.push(make_fan_event(static_cast<std::uint32_t>(next_.edit()++)));
    return true;
  }

 private:
  std::uint64_t events_;
  Recoverable<std::uint64_t> next_;
};

struct WideSum {
  std::uint64_t events;
  std::uint64_t sum;
};

class WideGather {
 public:
  explicit WideGather(Worker& worker) : sum_{worker.state<WideSum>("sum")} {}
  void operator()(const FanResult& result) {
    WideSum& sum = sum_.edit();
    ++sum.events;
    sum.sum += result.checksum;
  }
  void finish() { told().end(sum_->events, sum_->sum); }

 private:
  Recoverable<WideSum> sum_;
};

int by_sluice(std::uint64_t events, const StageOptions& options) {
  Pipeline pipeline{"wide"};
  pipeline.source<WideDeal>("deal", events).to<Wide<Crunch>>("crunch", options).to<WideGather>("gather");
  Engine engine{pipeline, Settings{}};
  engine.start();
  engine.wait();
  return 0;
}

// One process, no lanes, nothing that survives anything: what the machine gives to this handler.
int by_parallel_for(std::uint64_t events, unsigned units) {
  tbb::task_arena arena{static_cast<int>(units), 1};
  std::vector<FanEvent> block(kBlock);
  std::vector<FanResult> results(kBlock);
  WideSum sum{};
  told().begin();
  while (sum.events < events) {
    const std::uint64_t count = std::min(kBlock, events - sum.events);
    for (std::uint64_t i = 0; i < count; ++i)
      block[i] = make_fan_event(static_cast<std::uint32_t>(sum.events + i));
    arena.execute([&] {
      tbb::parallel_for(tbb::blocked_range<std::uint64_t>{0, count}, [&](const auto& range) {
        for (std::uint64_t i = range.begin(); i < range.end(); ++i)
          results[i] = crunch(block[i]);
      });
    });
    for (std::uint64_t i = 0; i < count; ++i)
      sum.sum += results[i].checksum;
    sum.events += count;
  }
  told().end(sum.events, sum.sum);
  return 0;
}

}  // namespace

std::vector<FanOut> wide_ways(bool peers) {
  std::vector<FanOut> ways;
  const unsigned most = std::max(1U, std::thread::hardware_concurrency());
  ways.reserve(std::size_t{3} * most);
  for (unsigned units = 1; units <= most; units *= 2) {
    const std::string name = "/units:" + std::to_string(units);
    ways.push_back({"sluice" + name, kEvents,
                    [units](std::uint64_t events) { return by_sluice(events, {.threads = units}); }});
    ways.push_back({"sluice_workers" + name, kEvents,
                    [units](std::uint64_t events) { return by_sluice(events, {.workers = units}); }});
    if (peers) {
      ways.push_back({"peer:tbb_parallel_for" + name, kEvents,
                      [units](std::uint64_t events) { return by_parallel_for(events, units); }});
    }
  }
  return ways;
}

std::uint64_t expected_wide_sum(std::uint64_t events) noexcept {
  std::uint64_t sum = 0;
  for (std::uint64_t number = 0; number < events; ++number)
    sum += crunch(make_fan_event(static_cast<std::uint32_t>(number))).checksum;
  return sum;
}

}  // namespace sluice::bench
