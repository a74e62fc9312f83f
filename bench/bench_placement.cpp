// SPDX-License-Identifier: Apache-2.0
// Question: what does a plan gain on this machine over workers that float, and over plans that know less?
//
// Baselines, by the settings that a user has: `float`, the kernel puts workers where it likes; `compact` and `spread`,
// which do not look at the lanes; `groups`, where workers outnumber units: each worker is bound to one unit, those that
// talk most to the same (by stage.NAME.place, from a plan of grouping `unit`); `crossing`, a bad plan: who follows in
// the chain is on a unit of the machine's other half, so that every event crosses on every hop.
//
// Machine: two processing units at least. With few of them `auto` is what it makes of that: groups that float.
//
//   chain/SUBJECT/stages:N,work:T     a source, N stages that work T on each event of 64 B and hand it on, and one that
//       gathers. What counts is the time from the first event made to the last one gathered.
//   plan/auto/workers:N               time: a plan for so many workers on two sockets of 128 cores.
//   market/SUBJECT                    time: the whole program, with one worker for each stage.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <sluice/pinning/pipeline_text.hpp>
#include <sluice/pinning/plan.hpp>
#include <sluice/sluice.hpp>

#include "child_run.hpp"
#include "counted_runs.hpp"
#include "market_runs.hpp"
#include "suite.hpp"

namespace sluice::bench {
namespace {

using pinning::CpuSet;

struct Item {
  std::uint64_t number;
  std::uint64_t more[7];
};

class Deal {
 public:
  Deal(Worker& worker, std::uint64_t events) : next_{worker.state<std::uint64_t>("next")}, events_{events} {}
  bool operator()(Output<Item>& out) {
    if (*next_ == 0) told().begin();
    if (*next_ == events_) return false;
    out.push({next_.edit()++, {}});
    return true;
  }

 private:
  Recoverable<std::uint64_t> next_;
  std::uint64_t events_;
};

// A chain of multiplications that no compiler and no processor can shorten: `turns` of them.
class Pass {
 public:
  Pass([[maybe_unused]] Worker& worker, std::uint64_t turns) : turns_{turns} {}
  void operator()(const Item& item, Output<Item>& out) const {
    Item worked = item;
    for (std::uint64_t turn = 0; turn < turns_; ++turn)
      worked.more[0] = worked.more[0] * 6364136223846793005U + 1442695040888963407U;
    out.push(worked);
  }

 private:
  std::uint64_t turns_;
};

struct Sum {
  std::uint64_t events;
  std::uint64_t sum;
};

class Gather {
 public:
  explicit Gather(Worker& worker) : sum_{worker.state<Sum>("sum")} {}
  void operator()(const Item& item) {
    Sum& sum = sum_.edit();
    ++sum.events;
    sum.sum += item.number;
  }
  void finish() { told().end(sum_->events, sum_->sum); }

 private:
  Recoverable<Sum> sum_;
};

struct Chain {
  unsigned stages = 0;
  std::uint64_t turns = 0;  // Of each stage, for each event.
  std::uint64_t events = 0;
};

Pipeline pipeline_of(const Chain& chain) {
  Pipeline pipeline{"chain"};
  auto stream = pipeline.source<Deal>("deal", chain.events);
  for (unsigned stage = 1; stage <= chain.stages; ++stage)
    stream = stream.to<Pass>(fmt::format("pass{}", stage), chain.turns);
  stream.to<Gather>("gather");
  return pipeline;
}

std::string text_of(const Chain& chain) {
  std::string text = "deal:1";
  for (unsigned stage = 1; stage <= chain.stages; ++stage)
    text.append(fmt::format(" pass{}:1", stage));
  return text.append(" gather:1");
}

constexpr const char* kMarket =
    "read:1 parse:1 book:1 bars:1 tickers:1 counts:1 write:1 read>parse parse>book parse>bars parse>tickers "
    "parse>counts book>write bars>write tickers>write counts>write";

// Settings as "key=value".
using Said = std::vector<std::string>;

Said policy(const char* name) {
  return {fmt::format("placement.policy={}", name)};
}

Said places(const pinning::PlanRequest& request, const std::vector<CpuSet>& units) {
  Said said = policy("auto");
  for (std::size_t stage = 0; stage < request.stages.size(); ++stage)
    said.push_back(fmt::format("stage.{}.place={}", request.stages[stage].name, units[stage].to_string()));
  return said;
}

// A unit for each stage of one worker, or for each group of stages that talk most.
Said groups(const std::string& text) {
  pinning::PlanRequest request = pinning::parse_pipeline(text);
  request.grouping = pinning::Grouping::unit;
  std::vector<CpuSet> units;
  for (const pinning::StagePlan& stage : pinning::plan(pinning::read_topology(), request).stages)
    units.push_back(stage.workers.front().units);
  return places(request, units);
}

// One half of the machine and the other in turn.
Said crossing(const std::string& text) {
  const pinning::PlanRequest request = pinning::parse_pipeline(text);
  std::vector<unsigned> allowed;
  for (const pinning::ProcessingUnit& unit : pinning::read_topology().units) {
    if (unit.allowed) allowed.push_back(unit.os_index);
  }
  const std::size_t half = std::max<std::size_t>(1, allowed.size() / 2);
  std::vector<CpuSet> units;
  for (std::size_t stage = 0; stage < request.stages.size(); ++stage) {
    const std::size_t at = (stage % 2) * half + (stage / 2) % half;
    units.push_back(CpuSet{allowed[at % allowed.size()]});
  }
  return places(request, units);
}

// Every subject with what it sets.
std::vector<std::pair<std::string, Said>> subjects(const std::string& text) {
  return {{"auto", policy("auto")},
          {"baseline:float", policy("float")},
          {"baseline:compact", policy("compact")},
          {"baseline:spread", policy("spread")},
          {"baseline:groups", groups(text)},
          {"baseline:crossing", crossing(text)}};
}

int run_engine(const Pipeline& pipeline, const Said& said) {
  Settings settings;
  settings.set("placement.claims", "no");
  for (const std::string& assignment : said)
    settings.set_assignment(assignment);
  Engine engine{pipeline, settings};
  engine.start();
  engine.wait();
  return 0;
}

MarketRuns& market_runs() {
  static MarketRuns runs;
  return runs;
}

void measure_market(benchmark::State& state, const Said& said) {
  // What the files of every run are compared with.
  static const ChildRun first = market_runs().single_thread();
  std::vector<std::string> options{"--set", "placement.claims=no",  "--set", "stage.read.workers=1",
                                   "--set", "stage.parse.workers=1"};
  for (const std::string& assignment : said)
    options.insert(options.end(), {"--set", assignment});
  for ([[maybe_unused]] auto _ : state) {
    const ChildRun run = market_runs().pipeline(options);
    if (!first.problem.empty()) return state.SkipWithError(first.problem.c_str());
    if (!run.problem.empty()) return state.SkipWithError(run.problem.c_str());
    state.counters["cpu_s"] = run.cpu_s;
  }
  state.SetLabel(market_runs().capture());
  if (const std::string file = market_runs().difference(); !file.empty())
    state.SkipWithError(("the pipeline and the program of one thread disagree: " + file).c_str());
}

void add_chains(const Options& options) {
  const std::uint64_t events = options.quick ? 200'000 : 1'000'000;
  constexpr std::uint64_t kTurns = 250;  // About 300 ns.
  for (const unsigned stages : {0U, 1U, 4U}) {
    for (const std::uint64_t turns : {std::uint64_t{0}, kTurns}) {
      if (stages == 0 && turns != 0) continue;
      const Chain chain{stages, turns, turns == 0 ? events : events / 4};
      for (const auto& [subject, said] : subjects(text_of(chain))) {
        add_once(fmt::format("chain/{}/stages:{},work:{}", subject, stages, turns == 0 ? "none" : "300ns"),
                 [chain, said = said](benchmark::State& state) {
                   measure(
                       state, [&] { return run_engine(pipeline_of(chain), said); }, chain.events,
                       chain.events * (chain.events - 1) / 2);
                 });
      }
    }
  }
}

// On two sockets of 128 cores, whatever this machine is.
void add_plans() {
  const pinning::Topology machine = pinning::topology_from_synthetic("package:2 [numa] l3:16 core:8 pu:2");
  for (const char* text : {"read:1 parse:7 book:7 write:1", "read:4 parse:28 book:28 write:4",
                           "read:16 parse:112 book:112 write:15"}) {
    const pinning::PlanRequest request = pinning::parse_pipeline(text);
    unsigned workers = 0;
    for (const pinning::StageRequest& stage : request.stages)
      workers += stage.workers;
    add_once(fmt::format("plan/auto/workers:{}", workers), [machine, request](benchmark::State& state) {
      for ([[maybe_unused]] auto _ : state)
        benchmark::DoNotOptimize(pinning::plan(machine, request));
    });
  }
}

void add_all(const Options& options) {
  market_runs();  // Made before anything is measured.
  add_plans();
  add_chains(options);
  for (const auto& [subject, said] : subjects(kMarket))
    add_once("market/" + subject, [said = said](benchmark::State& state) { measure_market(state, said); });
}

}  // namespace
}  // namespace sluice::bench

int main(int argc, char** argv) {
  using namespace sluice::bench;
  return run_suite(argc, argv, 2, add_all);
}
