// SPDX-License-Identifier: Apache-2.0
#include "lanes.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>
#include <sluice/error.hpp>

namespace sluice::pinning {
namespace {

[[noreturn]] void refuse_flow(std::size_t flow, std::string why) {
  throw Error{{.tried = "place the pipeline along its flow",
               .object = fmt::format("{}", flow),
               .why = std::move(why),
               .remedy = "name stages by their number, and give a rate for each lane or for none"}};
}

unsigned workers_of(const PlanRequest& request, std::size_t stage) {
  return stage == kHost ? 1 : request.stages[stage].workers;
}

bool is_rate(double rate) {
  return std::isfinite(rate) && rate >= 0;
}

void check(const PlanRequest& request, const Flow& flow, std::size_t number) {
  for (const std::size_t end : {flow.from, flow.to}) {
    if (end != kHost && end >= request.stages.size())
      refuse_flow(number,
                  fmt::format("there {} {} and no stage {}", request.stages.size() == 1 ? "is" : "are",
                              detail::counted(request.stages.size(), "stage"), end));
  }
  if (!is_rate(flow.rate) || !std::all_of(flow.lane_rates.begin(), flow.lane_rates.end(), is_rate))
    refuse_flow(number, "a rate is not a number of events");
  const std::size_t lanes =
      std::size_t{workers_of(request, flow.from)} * std::size_t{workers_of(request, flow.to)};
  if (!flow.lane_rates.empty() && flow.lane_rates.size() != lanes) {
    refuse_flow(number, fmt::format("it has {} and rates for {} of them", detail::counted(lanes, "lane"),
                                    flow.lane_rates.size()));
  }
}

// What all lanes of the flow carry together, if `from` pushes `pushed` events.
double carried(const PlanRequest& request, const Flow& flow, double pushed) {
  return flow.traffic == Traffic::broadcast ? pushed * workers_of(request, flow.to) : pushed;
}

// What each flow's `from` pushes into it. Flows back make a circle, whose rates settle within as many rounds
// as there are stages, or are cut off there.
std::vector<double> pushed_rates(const PlanRequest& request, const std::vector<Flow>& flows) {
  std::vector<double> pushed;
  pushed.reserve(flows.size());
  double busiest = 0;
  for (const Flow& flow : flows) {
    double measured = flow.rate;
    for (const double rate : flow.lane_rates)
      measured += rate;
    pushed.push_back(measured);
    busiest = std::max(busiest, measured);
  }
  const std::vector<double> measured = pushed;
  const double source = busiest > 0 ? busiest : 1;
  for (std::size_t round = 0; round <= request.stages.size(); ++round) {
    std::vector<double> reaching(request.stages.size(), 0.0);
    std::vector<bool> is_fed(request.stages.size(), false);
    for (std::size_t flow = 0; flow < flows.size(); ++flow) {
      if (flows[flow].to == kHost) continue;
      reaching[flows[flow].to] += carried(request, flows[flow], pushed[flow]);
      is_fed[flows[flow].to] = true;
    }
    for (std::size_t flow = 0; flow < flows.size(); ++flow) {
      if (measured[flow] > 0) continue;
      const std::size_t from = flows[flow].from;
      pushed[flow] = from == kHost || !is_fed[from] ? source : reaching[from];
    }
  }
  return pushed;
}

// Pairs of workers are looked at one by one: what nobody means would take the memory of the machine.
void refuse_too_many(const PlanRequest& request, const std::vector<Flow>& flows) {
  constexpr std::uint64_t kMostPairs = std::uint64_t{1} << 22;
  std::uint64_t pairs = 0;
  for (const Flow& flow : flows)
    pairs += std::uint64_t{workers_of(request, flow.from)} * workers_of(request, flow.to);
  if (pairs <= kMostPairs) return;
  throw Error{{.tried = "place the pipeline",
               .object = {},
               .why = fmt::format("its flows are between {} pairs of workers, and {} are the most", pairs,
                                  kMostPairs),
               .remedy = "give its stages fewer workers"}};
}

bool is_lane(const Flow& flow, std::size_t producer, std::size_t consumer, std::size_t producers,
             std::size_t consumers) {
  if (flow.traffic != Traffic::one_to_one) return true;
  return producers <= consumers ? consumer % producers == producer : producer % consumers == consumer;
}

}  // namespace

std::vector<Flow> flows_of(const PlanRequest& request) {
  std::vector<Flow> flows = request.flows;
  if (flows.empty()) {
    for (std::size_t stage = 1; stage < request.stages.size(); ++stage)
      flows.push_back({.from = stage - 1, .to = stage});
  }
  for (std::size_t flow = 0; flow < flows.size(); ++flow)
    check(request, flows[flow], flow);
  return flows;
}

std::vector<RequestedLane> lanes_of(const PlanRequest& request, const std::vector<Flow>& flows) {
  refuse_too_many(request, flows);
  std::vector<std::size_t> first_worker;
  first_worker.reserve(request.stages.size());
  std::size_t workers = 0;
  for (const StageRequest& stage : request.stages) {
    first_worker.push_back(workers);
    workers += stage.workers;
  }
  const auto worker = [&](std::size_t stage, std::size_t replica) {
    return stage == kHost ? kHost : first_worker[stage] + replica;
  };
  const std::vector<double> pushed = pushed_rates(request, flows);
  std::vector<RequestedLane> lanes;
  for (std::size_t number = 0; number < flows.size(); ++number) {
    const Flow& flow = flows[number];
    const std::size_t producers = workers_of(request, flow.from);
    const std::size_t consumers = workers_of(request, flow.to);
    const std::size_t lanes_of_one_to_one = std::max(producers, consumers);
    const double shared_by =
        static_cast<double>(flow.traffic == Traffic::one_to_one  ? lanes_of_one_to_one
                            : flow.traffic == Traffic::broadcast ? producers
                                                                 : producers * consumers);
    for (std::size_t p = 0; p < producers; ++p) {
      for (std::size_t c = 0; c < consumers; ++c) {
        if (!is_lane(flow, p, c, producers, consumers)) continue;
        const double rate =
            flow.lane_rates.empty() ? pushed[number] / shared_by : flow.lane_rates[p * consumers + c];
        lanes.push_back({number, worker(flow.from, p), worker(flow.to, c), rate});
      }
    }
  }
  return lanes;
}

}  // namespace sluice::pinning
