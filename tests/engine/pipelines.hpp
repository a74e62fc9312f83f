// SPDX-License-Identifier: Apache-2.0
// Handlers, sources and pipelines that the tests of the engine share. Each does one plain thing, so that what
// a test sees comes from the engine.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <tuple>
#include <vector>

#include <sluice/sluice.hpp>

namespace sluice::test {

struct Item {
  std::uint32_t key = 0;
  std::uint32_t number = 0;

  friend bool operator==(const Item&, const Item&) = default;
  friend bool operator<(const Item& a, const Item& b) {
    return std::tie(a.key, a.number) < std::tie(b.key, b.number);
  }
};

// An item, which worker had it, and how many of its key that worker had before.
struct Counted {
  Item item;
  std::uint32_t replica = 0;
  std::uint32_t nth = 0;

  friend bool operator==(const Counted&, const Counted&) = default;
  friend bool operator<(const Counted& a, const Counted& b) {
    return std::tie(a.item, a.replica, a.nth) < std::tie(b.item, b.replica, b.nth);
  }
};

inline std::vector<Item> items(std::uint32_t count, std::uint32_t keys) {
  std::vector<Item> made;
  made.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i)
    made.push_back({i % keys, i});
  return made;
}

class Count {
 public:
  explicit Count(Worker& worker)
      : replica_{worker.replica()}, seen_{worker.table<std::uint32_t, std::uint32_t>("seen", 1000)} {}
  void operator()(const Item& item, Output<Counted>& out) { out.push({item, replica_, seen_[item.key]++}); }

 private:
  std::uint32_t replica_;
  Table<std::uint32_t, std::uint32_t> seen_;
};

struct Echo {
  void operator()(const Item& item, Output<Item>& out) const noexcept { out.push(item); }
};

struct EchoBytes {
  void operator()(const Bytes& bytes, Output<Bytes>& out) const { out.push(bytes); }
};

// Sends items with an odd number to its second outlet.
struct Split {
  void operator()(const Item& item, Output<Item>& even, Output<Item>& odd) const {
    (item.number % 2 == 0 ? even : odd).push(item);
  }
};

// Makes `times` items of one; the number counts them.
class Multiply {
 public:
  explicit Multiply(std::uint32_t times) : times_{times} {}
  void operator()(const Item& item, Output<Item>& out) const {
    for (std::uint32_t i = 0; i < times_; ++i)
      out.push({item.key, item.number * times_ + i});
  }

 private:
  std::uint32_t times_;
};

// Makes the items 0 to `count`, then ends; remembers where it is.
class Numbers {
 public:
  Numbers(Worker& worker, std::uint32_t count)
      : count_{count},
        next_{worker.state<std::uint32_t>("next", worker.replica())},
        step_{worker.replicas()} {}
  bool operator()(Output<Item>& out) {
    if (*next_ >= count_) return false;
    out.push({*next_ % 7, *next_});
    next_.edit() += step_;
    return true;
  }

 private:
  std::uint32_t count_;
  Recoverable<std::uint32_t> next_;
  std::uint32_t step_;
};

// Keeps the sum of all numbers and tells it as its last word.
class Sum {
 public:
  explicit Sum(Worker& worker) : sum_{worker.state<std::uint64_t>("sum")} {}
  void operator()(const Item& item, Output<std::uint64_t>&) { sum_.edit() += item.number; }
  void finish(Output<std::uint64_t>& out) { out.push(*sum_); }

 private:
  Recoverable<std::uint64_t> sum_;
};

// Keeps every number it gets and says them in portions at its end.
class Hoard {
 public:
  explicit Hoard(Worker& worker)
      : rows_{worker.table<std::uint32_t, std::uint32_t>("rows", 10'000)},
        at_{worker.state<std::uint64_t>("at")} {}
  void operator()(const Item& item, Output<Item>&) { rows_[item.number] = item.key; }
  bool finish(Output<Item>& out) {
    if (*at_ == rows_.slots()) return false;
    if (const auto* row = rows_.slot(*at_)) out.push({row->value, row->key});
    ++at_.edit();
    return true;
  }

 private:
  Table<std::uint32_t, std::uint32_t> rows_;
  Recoverable<std::uint64_t> at_;
};

// The smallest lanes there are: every test that wants back-pressure gets it.
inline Settings tiny_lanes() {
  Settings settings;
  settings.set("lane.slots", "2");
  settings.set("lane.bytes", "4096");
  return settings;
}

inline Pipeline counting_pipeline(unsigned workers, const std::string& name = "counting") {
  Pipeline pipeline{name};
  pipeline.inlet<Item>("in").by(&Item::key).to<Count>("count", {.workers = workers}).outlet("out");
  return pipeline;
}

// Splits, echoes one half, merges both again and counts.
inline Pipeline diamond_pipeline() {
  Pipeline pipeline{"diamond"};
  auto [even, odd] = pipeline.inlet<Item>("in").to<Split>("split");
  const auto echoed = even.to<Echo>("echo");
  echoed.merge(odd).by(&Item::key).to<Count>("count", {.workers = 2}).outlet("out");
  return pipeline;
}

inline Pipeline multiplying_pipeline(std::uint32_t times) {
  Pipeline pipeline{"multiplying"};
  pipeline.inlet<Item>("in").to<Multiply>("multiply", times).to<Echo>("echo").outlet("out");
  return pipeline;
}

template <class T>
std::vector<T> sorted(std::vector<T> values) {
  std::sort(values.begin(), values.end());
  return values;
}

}  // namespace sluice::test
