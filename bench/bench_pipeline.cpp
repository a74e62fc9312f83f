// SPDX-License-Identifier: Apache-2.0
// Question: what do stages, routes and fan-out cost, and what does a whole pipeline gain over one thread?
//
// Baselines: run_inline, the same pipeline with the same commits in one thread, for chains and routes; for
// the market demonstration a program of one thread that shares its handlers' code (market/single_thread.cpp)
// and whose files must be the same, byte for byte. Peers: fan_out/.
//
// Machine: two processing units. With more stages than units, places are shared, and that is measured.
//
//   chain/SUBJECT/stages:N            a source, N stages that hand 64 B on, and one that gathers.
//   route/SUBJECT/ROUTE               a source, two workers, one that gathers. Broadcast: events to each.
//   fan_in/SUBJECT/sources:4          four sources, one that gathers.
//   fan_out/SUBJECT                   one deals events of 64 B to two workers, which hash them and hand
//       results on to one that gathers. Counted from the first event made to the last result gathered.
//   wide/SUBJECT/units:N              one deals events of 64 B, each handled for about a microsecond, by N threads of one
//       wide worker, by N workers, or by oneTBB's parallel_for in one process, and one gathers. N up to what the machine has.
//   market/SUBJECT                    time: the whole program, from its start to its end. cpu_s: user and
//       system of all its processes.
//   observed/SUBJECT                  the same. sluice: as it is by default, and one event in a hundred is timed.
//       sluice_looked_at: besides, `sluice serve` shows it to a page and is scraped each second, whose CPU time counts as well.
//       baseline:unobserved: with neither observers' socket nor latencies.
#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string>
#include <tuple>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <sluice/sluice.hpp>

#include "child_run.hpp"
#include "counted_runs.hpp"
#include "fan_out/fan_out.hpp"
#ifdef SLUICE_BENCH_WIDE
#include "fan_out/wide.hpp"
#endif
#include "market_runs.hpp"
#include "suite.hpp"

namespace sluice::bench {
namespace {

using detail::RouteKind;

// Makes `events` events in all, its share of them in each replica; `kInPlace`: each where it is to lie.
template <bool kInPlace>
class DealOnes {
 public:
  DealOnes(Worker& worker, std::uint64_t events)
      : next_{worker.state<std::uint64_t>("next")}, left_{events / worker.replicas()} {}
  bool operator()(Output<FanEvent>& out) {
    if (*next_ == 0 && told().first_ns.load() == 0) told().begin();
    if (*next_ == left_) return false;
    const auto number = static_cast<std::uint32_t>(next_.edit()++);
    if constexpr (kInPlace) {
      out.push([number](FanEvent& event) { fill_fan_event(event, number); });
    } else {
      out.push(make_fan_event(number));
    }
    return true;
  }

 private:
  Recoverable<std::uint64_t> next_;
  std::uint64_t left_;
};
using Deal = DealOnes<false>;
using DealInPlace = DealOnes<true>;

struct Pass {
  void operator()(const FanEvent& event, Output<FanEvent>& out) { out.push(event); }
};

struct Handle {
  void operator()(const FanEvent& event, Output<FanResult>& out) { out.push(handle(event)); }
};

struct Sum {
  std::uint64_t events;
  std::uint64_t sum;
};

class GatherResults {
 public:
  explicit GatherResults(Worker& worker) : sum_{worker.state<Sum>("sum")} {}
  void operator()(const FanResult& result) {
    Sum& sum = sum_.edit();
    ++sum.events;
    sum.sum += result.checksum;
  }
  void finish() { told().end(sum_->events, sum_->sum); }

 private:
  Recoverable<Sum> sum_;
};

// The same in blocks, as who hands blocks on does it.
class DealBlocks {
 public:
  DealBlocks(Worker& worker, std::uint64_t events)
      : events_{events}, next_{worker.state<std::uint64_t>("next")} {}
  bool operator()(Output<FanEvent>& out) {
    std::uint64_t& next = next_.edit();
    if (next == 0) told().begin();
    std::array<FanEvent, kPack> block;
    const std::size_t count = std::min<std::uint64_t>(kPack, events_ - next);
    for (std::size_t i = 0; i < count; ++i)
      block[i] = make_fan_event(static_cast<std::uint32_t>(next + i));
    out.push(std::span<const FanEvent>{block.data(), count});
    next += count;
    return next < events_;
  }

 private:
  std::uint64_t events_;
  Recoverable<std::uint64_t> next_;
};

struct HandleMany {
  void operator()(std::span<const FanEvent> events, Output<FanResult>& out) const {
    std::array<FanResult, kPack> results;
    while (!events.empty()) {
      const std::size_t count = std::min(events.size(), results.size());
      std::transform(events.begin(), events.begin() + static_cast<std::ptrdiff_t>(count), results.begin(),
                     [](const FanEvent& event) { return handle(event); });
      out.push(std::span<const FanResult>{results.data(), count});
      events = events.subspan(count);
    }
  }
};

struct PassMany {
  void operator()(std::span<const FanEvent> events, Output<FanEvent>& out) const { out.push(events); }
};

class GatherEventSpans {
 public:
  explicit GatherEventSpans(Worker& worker) : sum_{worker.state<Sum>("sum")} {}
  void operator()(std::span<const FanEvent> events) {
    Sum& sum = sum_.edit();
    sum.events += events.size();
    for (const FanEvent& event : events)
      sum.sum += event.words[0];
  }
  void finish() { told().end(sum_->events, sum_->sum); }

 private:
  Recoverable<Sum> sum_;
};

class GatherMany {
 public:
  explicit GatherMany(Worker& worker) : sum_{worker.state<Sum>("sum")} {}
  void operator()(std::span<const FanResult> results) {
    Sum& sum = sum_.edit();
    sum.events += results.size();
    for (const FanResult& result : results)
      sum.sum += result.checksum;
  }
  void finish() { told().end(sum_->events, sum_->sum); }

 private:
  Recoverable<Sum> sum_;
};

class GatherEvents {
 public:
  explicit GatherEvents(Worker& worker) : sum_{worker.state<Sum>("sum")} {}
  void operator()(const FanEvent& event) {
    Sum& sum = sum_.edit();
    ++sum.events;
    sum.sum += event.words[0];
  }
  void finish() { told().end(sum_->events, sum_->sum); }

 private:
  Recoverable<Sum> sum_;
};

int run_engine(const Pipeline& pipeline) {
  Engine engine{pipeline, Settings{}};
  engine.start();
  engine.wait();
  return 0;
}

std::uint64_t sum_to(std::uint64_t events) {
  return events * (events - 1) / 2;
}

Pipeline chain(std::uint64_t events, unsigned stages, bool in_place = false) {
  Pipeline pipeline{"chain"};
  auto stream =
      in_place ? pipeline.source<DealInPlace>("deal", events) : pipeline.source<Deal>("deal", events);
  for (unsigned stage = 1; stage <= stages; ++stage)
    stream = stream.to<Pass>(fmt::format("pass{}", stage));
  stream.to<GatherEvents>("gather");
  return pipeline;
}

Pipeline chain_in_spans(std::uint64_t events, unsigned stages) {
  Pipeline pipeline{"chain"};
  auto stream = pipeline.source<DealBlocks>("deal", events);
  for (unsigned stage = 1; stage <= stages; ++stage)
    stream = stream.to<PassMany>(fmt::format("pass{}", stage));
  stream.to<GatherEventSpans>("gather");
  return pipeline;
}

Stream<FanEvent> routed(const Stream<FanEvent>& stream, RouteKind kind) {
  switch (kind) {
    case RouteKind::by_key:
      return stream.by([](const FanEvent& event) { return event.words[0]; });
    case RouteKind::least_loaded:
      return stream.least_loaded();
    case RouteKind::broadcast:
      return stream.broadcast();
    default:
      return stream.round_robin();
  }
}

Pipeline fan(std::uint64_t events, RouteKind kind) {
  Pipeline pipeline{"fan"};
  routed(pipeline.source<Deal>("deal", events), kind)
      .to<Pass>("pass", {.workers = 2})
      .to<GatherEvents>("gather");
  return pipeline;
}

Pipeline fan_in(std::uint64_t events, unsigned sources) {
  Pipeline pipeline{"fan_in"};
  pipeline.source<Deal>("deal", {.workers = sources}, events).to<GatherEvents>("gather");
  return pipeline;
}

Pipeline fan_out(std::uint64_t events) {
  Pipeline pipeline{"fan_out"};
  pipeline.source<Deal>("deal", events)
      .to<Handle>("handle", {.workers = kFanOutWorkers})
      .to<GatherResults>("gather");
  return pipeline;
}

Pipeline fan_out_in_spans(std::uint64_t events) {
  Pipeline pipeline{"fan_out"};
  pipeline.source<DealBlocks>("deal", events)
      .to<HandleMany>("handle", {.workers = kFanOutWorkers})
      .to<GatherMany>("gather");
  return pipeline;
}

void add_inline(const std::string& name, const Pipeline& pipeline, std::uint64_t events, std::uint64_t sum) {
  add_once(name, [=](benchmark::State& state) {
    const auto run = [&pipeline] {
      run_inline(pipeline);
      return 0;
    };
    measure(state, run, events, sum);
  });
}

// With the engine, and with run_inline as the baseline.
void add_both(const std::string& group, const std::string& parameters, const Pipeline& pipeline,
              std::uint64_t events, std::uint64_t sum) {
  add_once(group + "/sluice/" + parameters, [=](benchmark::State& state) {
    measure(
        state, [&pipeline] { return run_engine(pipeline); }, events, sum);
  });
  add_inline(group + "/baseline:inline/" + parameters, pipeline, events, sum);
}

void add_shapes(const Options& options) {
  const std::uint64_t events = options.quick ? 200'000 : 2'000'000;
  for (const unsigned stages : {1U, 2U, 4U, 8U}) {
    if (options.quick && stages != 1 && stages != 8) continue;
    const std::string parameters = fmt::format("stages:{}", stages);
    add_both("chain", parameters, chain(events, stages), events, sum_to(events));
    add_inline("chain/baseline:inline_in_place/" + parameters, chain(events, stages, true), events,
               sum_to(events));
    add_inline("chain/baseline:inline_spans/" + parameters, chain_in_spans(events, stages), events,
               sum_to(events));
  }
  for (const auto& [name, kind] :
       {std::pair{"round_robin", RouteKind::round_robin}, std::pair{"by_key", RouteKind::by_key},
        std::pair{"least_loaded", RouteKind::least_loaded}, std::pair{"broadcast", RouteKind::broadcast}}) {
    const std::uint64_t copies = kind == RouteKind::broadcast ? 2 : 1;
    add_both("route", name, fan(events, kind), copies * events, copies * sum_to(events));
  }
  constexpr unsigned kSources = 4;
  add_both("fan_in", "sources:4", fan_in(events, kSources), events, kSources * sum_to(events / kSources));
}

void add_fan_outs(const Options& options) {
  std::vector<FanOut> ways{
      {"sluice", 4'000'000, [](std::uint64_t events) { return run_engine(fan_out(events)); }},
      {"sluice_spans", 4'000'000, [](std::uint64_t events) { return run_engine(fan_out_in_spans(events)); }}};
  if (options.peers) ways.insert(ways.end(), fan_outs().begin(), fan_outs().end());
  for (const FanOut& way : ways) {
    const std::uint64_t events = options.quick ? way.events / 4 : way.events;
    add_once("fan_out/" + way.name, [way, events, sum = expected_sum(events)](benchmark::State& state) {
      measure(
          state, [&] { return way.run(events); }, events, sum);
    });
  }
}

#ifdef SLUICE_BENCH_WIDE
void add_wide(const Options& options) {
  for (const FanOut& way : wide_ways(options.peers)) {
    const std::uint64_t events = options.quick ? way.events / 4 : way.events;
    add_once("wide/" + way.name, [way, events](benchmark::State& state) {
      static const std::uint64_t sum = expected_wide_sum(events);  // All ways have as many.
      measure(
          state, [&] { return way.run(events); }, events, sum);
    });
  }
}
#endif

// Made when it is first asked for, which nobody is to do while something is timed.
const MarketRuns& market_runs() {
  static const MarketRuns runs;
  return runs;
}

void measure_market(benchmark::State& state, bool of_one_thread) {
  // The other program's files, to be compared with, are there from the first round on.
  static const ChildRun first = market_runs().single_thread();
  for ([[maybe_unused]] auto _ : state) {
    const ChildRun run = of_one_thread ? market_runs().single_thread() : market_runs().pipeline();
    if (!first.problem.empty()) return state.SkipWithError(first.problem.c_str());
    if (!run.problem.empty()) return state.SkipWithError(run.problem.c_str());
    state.counters["cpu_s"] = run.cpu_s;
  }
  state.SetLabel(market_runs().capture());
  if (of_one_thread) return;
  if (const std::string file = market_runs().difference(); !file.empty())
    state.SkipWithError(("the pipeline and the program of one thread disagree: " + file).c_str());
}

ChildRun market_run(const std::string& subject) {
  const std::vector<std::string> timed{"--set", "latency.sample=100"};
  if (subject == "sluice") return market_runs().pipeline(timed);
  if (subject == "sluice_looked_at") return market_runs().looked_at(timed);
  return market_runs().pipeline({"--set", "observe.socket=off", "--set", "latency.sample=off"});
}

void add_observed() {
  for (const std::string subject : {"sluice", "sluice_looked_at", "baseline:unobserved"}) {
    add_once("observed/" + subject, [subject](benchmark::State& state) {
      std::ignore = market_runs();
      for ([[maybe_unused]] auto _ : state) {
        const ChildRun run = market_run(subject);
        if (!run.problem.empty()) return state.SkipWithError(run.problem.c_str());
        state.counters["cpu_s"] = run.cpu_s;
      }
      state.SetLabel(market_runs().capture());
    });
  }
}

void add_all(const Options& options) {
  add_once("market/sluice", [](benchmark::State& state) { measure_market(state, false); });
  add_once("market/baseline:single_thread", [](benchmark::State& state) { measure_market(state, true); });
  add_observed();
  add_fan_outs(options);
#ifdef SLUICE_BENCH_WIDE
  add_wide(options);
#endif
  add_shapes(options);
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  return run_suite(argc, argv, 2, add_all);
}
