// SPDX-License-Identifier: Apache-2.0
#include "price.hpp"

#include <algorithm>
#include <utility>

namespace sluice::pinning {
namespace {

// Distances between places, asked once for every two places that differ: workers that float share one.
class Ways {
 public:
  Ways(const Distances& distances, std::vector<Place> places) : distances_{distances} {
    for (Place& place : places) {
      const auto known = std::find(distinct_.begin(), distinct_.end(), place);
      number_.push_back(static_cast<std::size_t>(known - distinct_.begin()));
      if (known == distinct_.end()) distinct_.push_back(std::move(place));
    }
    asked_.assign(distinct_.size() * distinct_.size(), -1.0);
  }

  double between(std::size_t from, std::size_t to) {
    double& known = asked_[number_[from] * distinct_.size() + number_[to]];
    if (known < 0) known = distances_.between(distinct_[number_[from]], distinct_[number_[to]]);
    return known;
  }

 private:
  const Distances& distances_;
  std::vector<Place> distinct_;
  std::vector<std::size_t> number_;  // Of each process's place.
  std::vector<double> asked_;
};

}  // namespace

void price(Plan& result, const PlanRequest& request, const std::vector<Flow>& flows,
           const std::vector<RequestedLane>& lanes, const Distances& distances) {
  std::vector<Place> places;
  for (std::size_t stage = 0; stage < result.stages.size(); ++stage) {
    for (const Place& place : result.stages[stage].workers) {
      places.push_back(place);
      result.memory_bytes[place.numa_node] += request.stages[stage].region_bytes;
    }
  }
  const std::size_t host = places.size();  // The process behind the workers.
  places.push_back(result.host);
  const auto process = [&](std::size_t end) { return end == kHost ? host : end; };
  Ways ways{distances, places};
  result.lanes.reserve(lanes.size());
  for (const RequestedLane& lane : lanes) {
    LanePlan priced{.flow = lane.flow, .from = lane.from, .to = lane.to, .rate = lane.rate};
    priced.numa_node = places[process(lane.to)].numa_node;
    priced.distance = ways.between(process(lane.from), process(lane.to));
    result.cost += priced.rate * priced.distance;
    result.memory_bytes[priced.numa_node] += flows[lane.flow].lane_bytes;
    result.lanes.push_back(priced);
  }
}

}  // namespace sluice::pinning
