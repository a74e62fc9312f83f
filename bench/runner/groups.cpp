// SPDX-License-Identifier: Apache-2.0
// Groups, setups and ratios.

#include "groups.hpp"

#include <algorithm>

namespace sluice::bench {
namespace {

template <typename Items, typename Make>
auto& found_or_added(Items& items, const std::string& name, std::string Items::value_type::*member,
                     Make make) {
  for (auto& item : items) {
    if (item.*member == name) return item;
  }
  return items.emplace_back(make());
}

bool better(const Row& left, const Row& right) {
  if (!left.spread || !right.spread) return left.spread.has_value() && !right.spread;
  return more_is_better(left.figure) ? left.spread->median > right.spread->median
                                     : left.spread->median < right.spread->median;
}

// The best of a kind, by the figure that counts for `row`.
std::optional<double> best_of(const std::vector<Row>& rows, Kind kind, const std::string& figure) {
  std::optional<double> best;
  for (const Row& row : rows) {
    if (row.benchmark->name.kind != kind) continue;
    const std::optional<Spread> spread = spread_of(*row.benchmark, figure);
    if (!spread) continue;
    best = !best                    ? spread->median
           : more_is_better(figure) ? std::max(*best, spread->median)
                                    : std::min(*best, spread->median);
  }
  return best;
}

std::optional<double> ratio(const Row& row, std::optional<double> other) {
  if (!row.spread || !other || *other == 0) return std::nullopt;
  return row.spread->median / *other;
}

void arrange(std::vector<Row>& rows) {
  std::ranges::stable_sort(rows, {}, [](const Row& row) { return row.benchmark->name.kind; });
  const auto peers =
      std::ranges::find(rows, Kind::peer, [](const Row& row) { return row.benchmark->name.kind; });
  std::stable_sort(peers, rows.end(), better);
  if (peers != rows.end() && peers->spread) peers->best_peer = true;
  for (Row& row : rows) {
    const Kind kind = row.benchmark->name.kind;
    if (kind != Kind::limit) row.to_limit = ratio(row, best_of(rows, Kind::limit, row.figure));
    if (kind != Kind::baseline) row.to_baseline = ratio(row, best_of(rows, Kind::baseline, row.figure));
    if (kind == Kind::ours) row.to_best_peer = ratio(row, best_of(rows, Kind::peer, row.figure));
  }
}

}  // namespace

std::vector<Group> grouped(const SuiteResult& suite) {
  std::vector<Group> groups;
  for (const Benchmark& benchmark : suite.benchmarks) {
    const Name& name = benchmark.name;
    const std::string figure = main_figure(benchmark);
    Group& group = found_or_added(groups, name.group, &Group::name, [&] {
      return Group{name.group, figure, {}};
    });
    Setup& setup = found_or_added(group.setups, name.parameters, &Setup::parameters, [&] {
      return Setup{name.parameters, {}};
    });
    Row row;
    row.benchmark = &benchmark;
    row.figure = figure;
    row.spread = spread_of(benchmark, figure);
    setup.rows.push_back(std::move(row));
  }
  for (Group& group : groups) {
    for (Setup& setup : group.setups)
      arrange(setup.rows);
  }
  return groups;
}

}  // namespace sluice::bench
