// SPDX-License-Identifier: Apache-2.0
// A service that takes so many calls and then none for a while, from a handler whose batch is undone as a whole when it
// finds nobody there: the flow comes through, in batches that the service takes.
#include <span>

#include "outside_world.hpp"

namespace sluice::test {
namespace {

// Reaches the service for every event, and is turned away once it has come too often since it was made.
class LimitedInRate {
 public:
  LimitedInRate(Worker& worker, std::size_t most) : left_{most} {
    worker.before_commit([] {});
  }
  void operator()(const Item& item, Output<Item>& out) {
    if (left_-- == 0) throw Unavailable{"too many calls"};
    out.push(item);
  }

 private:
  std::size_t left_;
};

class LimitedInRateBySpans {
 public:
  explicit LimitedInRateBySpans(std::size_t most) : left_{most} {}
  void operator()(std::span<const Item> all, Output<Item>& out) {
    for (const Item& item : all) {
      if (left_-- == 0) throw Unavailable{"too many calls"};
      out.push(item);
    }
  }

 private:
  std::size_t left_;
};

template <class Client>
class LimitedWhere : public WithOutside {};
using WholeBatches = testing::Types<LimitedInRate, LimitedInRateBySpans>;
TYPED_TEST_SUITE(LimitedWhere, WholeBatches);

TYPED_TEST(LimitedWhere, MoreIsUndoneThanOneEventGoesOnInSmallerBatches) {
  for (const std::size_t most : {1U, 10U, 40U}) {
    Pipeline pipeline{"limited"};
    pipeline.inlet<Item>("in").to<TypeParam>("limited", {}, most).outlet("out");
    Engine engine{pipeline, this->settings({"restart.budget=0", "batch.events=64"})};
    engine.start();
    Collector<Item> out{engine, "out"};
    auto in = engine.inlet<Item>("in");
    EXPECT_EQ(in.push_batch(items(100, 1)), PushResult::accepted);
    in.close();
    EXPECT_TRUE(engine.wait_for(kDeadline)) << most;
    EXPECT_EQ(out.all(), items(100, 1));
  }
}

}  // namespace
}  // namespace sluice::test
