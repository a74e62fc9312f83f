// SPDX-License-Identifier: Apache-2.0
#include "match.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <set>

namespace sluice::pinning {
namespace {

constexpr double kWanting = 1e9;
constexpr double kOfOthers = 1e4;
constexpr double kSharedCore = 1;
constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// Each edge stands beside its way back, so that the one of edge e is e ^ 1.
struct Edge {
  std::size_t to = 0;
  std::size_t room = 0;
  double price = 0;
};

class Flowing {
 public:
  std::size_t add_node() {
    out_.emplace_back();
    return out_.size() - 1;
  }
  std::size_t add_edge(std::size_t from, std::size_t to, std::size_t room, double price) {
    out_[from].push_back(edges_.size());
    edges_.push_back({to, room, price});
    out_[to].push_back(edges_.size());
    edges_.push_back({from, 0, -price});
    return edges_.size() - 2;
  }
  bool is_used(std::size_t edge) const { return edges_[edge ^ 1].room > 0; }

  // One more from end to end, the cheapest way; what that costs, or `kWanting` if there is none.
  double push(std::size_t from, std::size_t to) {
    std::vector<double> price(out_.size(), kWanting);
    std::vector<std::size_t> by(out_.size(), kNone);
    std::vector<std::size_t> next{from};
    std::vector<bool> is_next(out_.size(), false);
    price[from] = 0;
    // Bellman and Ford's: ways back have negative prices, but no circle of them has.
    for (std::size_t at = 0; at < next.size(); ++at) {
      const std::size_t node = next[at];
      is_next[node] = false;
      for (const std::size_t edge : out_[node]) {
        const Edge& way = edges_[edge];
        if (way.room == 0 || price[node] + way.price >= price[way.to]) continue;
        price[way.to] = price[node] + way.price;
        by[way.to] = edge;
        if (!is_next[way.to]) next.push_back(way.to);
        is_next[way.to] = true;
      }
    }
    if (by[to] == kNone) return kWanting;
    for (std::size_t node = to; node != from; node = edges_[by[node] ^ 1].to) {
      --edges_[by[node]].room;
      ++edges_[by[node] ^ 1].room;
    }
    return price[to];
  }

 private:
  std::vector<std::vector<std::size_t>> out_;
  std::vector<Edge> edges_;
};

// What a want has taken of: a unit, by the edge that leads there.
struct Way {
  std::size_t want = 0;
  const ProcessingUnit* unit = nullptr;
  std::size_t edge = 0;
};

}  // namespace

Matched match(const std::vector<Want>& wants, const Units& held) {
  std::set<int> cores_held;
  std::set<unsigned> units_held;
  for (const ProcessingUnit& unit : held) {
    cores_held.insert(unit.core);
    units_held.insert(unit.os_index);
  }
  Flowing flow;
  const std::size_t begin = flow.add_node();
  const std::size_t end = flow.add_node();
  std::map<int, std::size_t> core_nodes;
  std::map<unsigned, std::size_t> unit_nodes;
  const auto node_of = [&](const ProcessingUnit& unit) {
    const auto [core, core_is_new] = core_nodes.try_emplace(unit.core, kNone);
    if (core_is_new) {
      core->second = flow.add_node();
      if (!cores_held.contains(unit.core)) flow.add_edge(core->second, end, 1, 0);
      flow.add_edge(core->second, end, std::numeric_limits<std::size_t>::max() / 2, kSharedCore);
    }
    const auto [node, is_new] = unit_nodes.try_emplace(unit.os_index, kNone);
    if (is_new) {
      node->second = flow.add_node();
      flow.add_edge(node->second, core->second, 1, units_held.contains(unit.os_index) ? kOfOthers : 0);
    }
    return node->second;
  };
  std::vector<Way> ways;
  std::size_t wanted = 0;
  for (std::size_t want = 0; want < wants.size(); ++want) {
    const std::size_t node = flow.add_node();
    flow.add_edge(begin, node, wants[want].count, 0);
    wanted += wants[want].count;
    for (const ProcessingUnit& unit : wants[want].among)
      ways.push_back({want, &unit, flow.add_edge(node, node_of(unit), 1, 0)});
  }
  Matched matched{std::vector<Units>(wants.size())};
  for (std::size_t i = 0; i < wanted; ++i)
    matched.price += flow.push(begin, end);
  for (const Way& way : ways) {
    if (flow.is_used(way.edge)) matched.units[way.want].push_back(*way.unit);
  }
  return matched;
}

}  // namespace sluice::pinning
