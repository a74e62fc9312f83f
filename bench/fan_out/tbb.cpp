// SPDX-License-Identifier: Apache-2.0
// The fan-out by oneTBB, between threads: its flow graph and its parallel_pipeline. What is handed from node
// to node, or from filter to filter, is a block of 32 events, since each hand-over costs about as much as a
// block.
#include <oneapi/tbb.h>

#include "fan_out/fan_out.hpp"

namespace sluice::bench {
namespace {

namespace flow = tbb::flow;

struct Block {
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  std::array<FanEvent, kPack> events;
};
struct Results {
  std::uint32_t count = 0;
  std::array<FanResult, kPack> results;
};

class Dealer {
 public:
  explicit Dealer(std::uint64_t events) : left_{events} {}
  template <class Control>
  Block operator()(Control& control) {
    Block block{};
    if (left_ == 0) {
      control.stop();
      return block;
    }
    if (next_ == 0) told().begin();
    for (; block.count < kPack && left_ > 0; ++block.count, --left_)
      block.events[block.count] = make_fan_event(next_++);
    return block;
  }

 private:
  std::uint64_t left_;
  std::uint32_t next_ = 0;
};

Results handle_block(const Block& block) {
  Results results{};
  for (; results.count < block.count; ++results.count)
    results.results[results.count] = handle(block.events[results.count]);
  return results;
}

class Gatherer {
 public:
  void take(const Results& results) {
    for (std::uint32_t i = 0; i < results.count; ++i)
      sum_ += results.results[i].checksum;
    counted_ += results.count;
  }
  int end() const {
    told().end(counted_, sum_);
    return 0;
  }

 private:
  std::uint64_t counted_ = 0;
  std::uint64_t sum_ = 0;
};

int by_flow_graph(std::uint64_t events) {
  Dealer deal{events};
  Gatherer gatherer;
  flow::graph graph;
  flow::input_node<Block> dealer{graph, [&deal](tbb::flow_control& control) { return deal(control); }};
  // It rejects what it cannot handle at once, so that the dealer waits.
  flow::function_node<Block, Results, flow::rejecting> worker{graph, kFanOutWorkers, handle_block};
  flow::function_node<Results> gather{graph, flow::serial, [&gatherer](const Results& results) {
                                        gatherer.take(results);
                                        return flow::continue_msg{};
                                      }};
  flow::make_edge(dealer, worker);
  flow::make_edge(worker, gather);
  dealer.activate();
  graph.wait_for_all();
  return gatherer.end();
}

int by_pipeline(std::uint64_t events) {
  constexpr std::size_t kTokens = 16;
  Dealer deal{events};
  Gatherer gatherer;
  tbb::parallel_pipeline(
      kTokens,
      tbb::make_filter<void, Block>(tbb::filter_mode::serial_in_order,
                                    [&deal](tbb::flow_control& control) { return deal(control); }) &
          tbb::make_filter<Block, Results>(tbb::filter_mode::parallel,
                                           [](const Block& block) { return handle_block(block); }) &
          tbb::make_filter<Results, void>(tbb::filter_mode::serial_out_of_order,
                                          [&gatherer](const Results& results) { gatherer.take(results); }));
  return gatherer.end();
}

const AddFanOut kFlowGraph{{"peer:tbb_flow_graph", 2'000'000, by_flow_graph}};
const AddFanOut kPipeline{{"peer:tbb_pipeline", 2'000'000, by_pipeline}};

}  // namespace
}  // namespace sluice::bench
