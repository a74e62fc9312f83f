// SPDX-License-Identifier: Apache-2.0
// Layouts: what lay_out() makes holds together, and the check that says so finds what does not.
#include "layout/layout.hpp"

#include <functional>

#include <gtest/gtest.h>

#include <sluice/error.hpp>

#include "layout/layout_check.hpp"
#include "pipelines.hpp"

namespace sluice::test {

using namespace detail;
namespace {

struct ForLayout {
  void operator()(const Item& item, Output<Item>& odd, Output<Record<Item>>& all) {
    odd.push(item);
    all.push(item, "bytes");
  }
};
struct RecordForLayout {
  void operator()(const Record<Item>& record, Output<Item>& out) { out.push(record.head); }
};

Layout sound_layout() {
  Pipeline pipeline{"layout"};
  auto [odd, all] = pipeline.inlet<Item>("in").to<ForLayout>("split", {.workers = 2});
  odd.outlet("odd");
  all.by([](const Record<Item>& record) { return record.head.key; })
      .to<RecordForLayout>("count", {.workers = 3})
      .outlet("out");
  return lay_out(pipeline.graph(), resolve(tiny_lanes(), pipeline.graph()));
}

TEST(Layouts, HoldTogether) {
  EXPECT_EQ(fault_of_layout(sound_layout()), "");
}

std::string fault_after(const std::function<void(Layout&)>& harm) {
  Layout layout = sound_layout();
  harm(layout);
  return fault_of_layout(layout);
}

constexpr ProcessIndex kSplit = process_of(WorkerIndex{0});

TEST(Layouts, WithPartsThatOverlapAreFound) {
  EXPECT_EQ(
      fault_after([](Layout& layout) { layout.processes[kSplit].undo = layout.processes[kSplit].commit; }),
      "the undo header of split/0 overlaps its commit header");
  EXPECT_EQ(
      fault_after([](Layout& layout) { layout.processes[kSplit].state = layout.processes[kSplit].entries; }),
      "the state of split/0 overlaps its undo log");
  EXPECT_EQ(fault_after([](Layout& layout) { layout.ends[1].commit = layout.ends[0].commit; }),
            "the commit header of an end of host overlaps its commit header of an end");
}

TEST(Layouts, WithPartsBeyondTheirRegionAreFound) {
  EXPECT_EQ(fault_after([](Layout& layout) { layout.processes[kSplit].state_bytes += 4096; }),
            "the state of split/0 reaches beyond its end");
  // What of each lane is released stands behind the register.
  EXPECT_EQ(fault_after([](Layout& layout) {
              layout.processes[kMasterProcess].plain_bytes -= layout.lanes.size() * sizeof(std::uint64_t);
            }),
            "the extra part of master reaches beyond its end");
  EXPECT_EQ(fault_after([](Layout& layout) { layout.processes[kSplit].state_bytes = ~std::size_t{0}; }),
            "the state of split/0 reaches beyond its end");
  EXPECT_EQ(fault_after([](Layout& layout) { layout.processes[kSplit].cursor_words -= 16; }),
            "the line of a lane out of split/0's cursors reaches beyond its end");
}

TEST(Layouts, WithLinesThatTwoLanesShareAreFound) {
  const auto harm = [](Layout& layout) {
    const std::vector<LaneIndex>& out = layout.processes[kSplit].lanes_out;
    layout.lanes[out[1]].producer_word = layout.lanes[out[0]].producer_word;
  };
  EXPECT_EQ(fault_after(harm), "the line of a lane out of split/0's cursors overlaps its line of a lane out");
}

TEST(Layouts, WithIndicesOutOfRangeAreFound) {
  EXPECT_EQ(fault_after([](Layout& layout) { layout.processes[kSplit].lanes_in[0] = LaneIndex{1000}; }),
            "split/0 lists a lane in that is another's");
  EXPECT_EQ(fault_after([](Layout& layout) { layout.processes[kSplit].lanes_out.pop_back(); }),
            "lane 6 has another lane's ring");
  EXPECT_EQ(fault_after([](Layout& layout) { ++layout.lanes[LaneIndex{0}].ring; }),
            "lane 0 has another lane's ring");
}

TEST(Layouts, WithLanesThatAreNoRingAreFound) {
  EXPECT_EQ(fault_after([](Layout& layout) { layout.lanes[LaneIndex{0}].capacity_bytes = 5000; }),
            "lane 0 has a capacity of 5000 bytes");
}

TEST(Layouts, AreRefusedToProgramsThatAskForMoreThanThereCanBe) {
  Pipeline pipeline{"layout"};
  pipeline.inlet<Item>("in").to<ForLayout>("split", {.state_bytes = ~std::uint64_t{0}});
  EXPECT_THROW(lay_out(pipeline.graph(), resolve(tiny_lanes(), pipeline.graph())), Error);
}

}  // namespace
}  // namespace sluice::test
