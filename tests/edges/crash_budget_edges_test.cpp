// SPDX-License-Identifier: Apache-2.0
// A stage whose input is hostile: crashes are few, and then there are none any more.
#include <csignal>
#include <cstdlib>
#include <set>
#include <stdexcept>

#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

struct Target {
  void operator()(const Item& item, Output<Item>& out) const {
    if (item.key == 1) std::abort();
    if (item.key == 2) throw std::runtime_error{"not for me"};
    out.push(item);
  }
};

class CrashBudget : public WithOutside {
 protected:
  Settings few(const std::vector<std::string>& more = {}) const {
    Settings settings = this->settings(more);
    settings.set("poison.attempts", "1");
    settings.set("poison.budget", "1000");
    return settings;
  }
  static Pipeline target(bool hostile, unsigned workers = 1) {
    Pipeline pipeline{"target"};
    pipeline.inlet<Item>("in")
        .to<Target>("target", {.workers = workers, .hostile_input = hostile})
        .outlet("out");
    return pipeline;
  }
  // What ends it; empty when all of them went through.
  static std::string end_of(const Pipeline& pipeline, const Settings& settings, std::uint32_t key,
                            int events) {
    Engine engine{pipeline, settings};
    engine.start();
    Collector<Item> out{engine, "out"};
    auto in = engine.inlet<Item>("in");
    for (int i = 0; i < events; ++i)
      std::ignore = in.push(Item{key, static_cast<std::uint32_t>(i)});
    in.close();
    return error_of([&] { EXPECT_TRUE(engine.wait_for(kDeadline)); });
  }
};

TEST_F(CrashBudget, EndsThePipelineLoudlyOnceAHostileStageHasCrashedTooOften) {
  EXPECT_THAT(
      end_of(target(true), few({"stage.target.crash.budget=3"}), 1, 10),
      AllOf(HasSubstr("the stage target has crashed 4 times within crash.window"), HasSubstr("target/0"),
            HasSubstr("signal 6"), HasSubstr(file("reports")), HasSubstr("crash.budget")));
  EXPECT_THAT(find_dead_letters(file("reports")), SizeIs(3));
}

TEST_F(CrashBudget, CountsTheWorkersOfAStageTogether) {
  EXPECT_THAT(end_of(target(true, 3), few({"crash.budget=5"}), 1, 12), HasSubstr("has crashed 6 times"));
}

TEST_F(CrashBudget, IsTwentyForAStageThatSaysItsInputIsHostile) {
  EXPECT_THAT(end_of(target(true), few(), 1, 25), HasSubstr("has crashed 21 times"));
}

TEST_F(CrashBudget, IsNoLimitForOthersAndForWhatIsNoCrash) {
  EXPECT_EQ(end_of(target(false), few(), 1, 25), "");
  EXPECT_EQ(end_of(target(true), few({"crash.budget=0"}), 2, 5), "") << "an exception is no try at addresses";
}

TEST_F(CrashBudget, HoldsWhateverASpentBudgetMeansOtherwise) {
  EXPECT_THAT(end_of(target(true), few({"crash.budget=0", "restart.spent=shed"}), 1, 2),
              HasSubstr("has crashed 1 times"));
}

}  // namespace
}  // namespace sluice::test
