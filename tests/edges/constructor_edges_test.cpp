// SPDX-License-Identifier: Apache-2.0
// Handlers whose constructor catches what it is told: who goes on with less handles every event once, and who lacks a change
// that it was to make is told so, and no event is blamed.
#include <array>
#include <memory>
#include <optional>

#include "errors.hpp"
#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using Kibibyte = std::array<char, 1024>;

// Asks for more than there is, and goes on with less.
class Modest {
 public:
  explicit Modest(Worker& worker) {
    try {
      large_.emplace(worker.table<std::uint32_t, Kibibyte>("large", 1'000'000));
    } catch (const Error&) {
      small_.emplace(worker.table<std::uint32_t, std::uint32_t>("small", 8));
    }
    count_.emplace(worker.state<std::uint32_t>("count"));
  }
  void operator()(const Item& item, Output<Item>& out) {
    ++(*small_)[item.key];
    out.push({item.key, ++count_->edit()});
  }

 private:
  std::optional<Table<std::uint32_t, Kibibyte>> large_;
  std::optional<Table<std::uint32_t, std::uint32_t>> small_;
  std::optional<Recoverable<std::uint32_t>> count_;
};

// Changes more than its undo log notes, once there is something to be undone, and goes on.
class Eager {
 public:
  explicit Eager(Worker& worker)
      : texts_{worker.table<std::uint32_t, Kibibyte>("texts", 32)},
        count_{worker.state<std::uint32_t>("count")} {
    try {
      for (std::uint32_t text = 0; text < 32; ++text)
        ++texts_[text][0];
    } catch (const Error&) {
      return;
    }
  }
  void operator()(const Item& item, Output<Item>& out) { out.push({item.key, ++count_.edit()}); }

 private:
  Table<std::uint32_t, Kibibyte> texts_;
  Recoverable<std::uint32_t> count_;
};

// Asks for a piece of state when it needs it, or in its last word.
template <bool kAtTheEnd>
class Late {
 public:
  explicit Late(Worker& worker) : worker_{worker} {}
  void operator()(const Item& item, Output<Item>& out) {
    if (!kAtTheEnd && item.number == 7) ++worker_.state<std::uint32_t>("late").edit();
    out.push(item);
  }
  void finish(Output<Item>&) {
    if (kAtTheEnd) worker_.table<std::uint32_t, std::uint32_t>("late", 8)[1] = 1;
  }

 private:
  Worker& worker_;
};

class ConstructorEdges : public WithOutside {
 protected:
  template <class Handler>
  void start() {
    Pipeline pipeline{"constructed"};
    pipeline.inlet<Item>("in").to<Handler>("count").outlet("out");
    engine_ = std::make_unique<Engine>(pipeline, settings({"state.bytes=64KiB", "undo.bytes=8KiB"}));
    engine_->start();
  }
  // Each event has the next number.
  void expect_counted(std::uint32_t events) {
    auto in = engine_->inlet<Item>("in");
    auto out = engine_->outlet<Item>("out");
    for (std::uint32_t event = 0; event < events; ++event) {
      ASSERT_EQ(in.push({event % 4, event}), PushResult::accepted);
      const std::uint32_t last = counted_;
      ASSERT_TRUE(eventually([&] {
        out.poll_for(1ms, [&](const Item& item) { EXPECT_EQ(item.number, ++counted_); });
        return counted_ > last || engine_->over();
      }));
      ASSERT_EQ(counted_, last + 1);
    }
  }

  std::unique_ptr<Engine> engine_;
  std::uint32_t counted_ = 0;
};

TEST_F(ConstructorEdges, WhoGoesOnWithoutTheRoomThatItWasRefusedCountsEveryEventOnce) {
  start<Modest>();
  for (int life = 0; life < 6; ++life) {
    expect_counted(50);
    const std::uint32_t before = worker_of(*engine_, "count/0").incarnation;
    ASSERT_TRUE(engine_->signal_worker("count/0", SIGKILL));
    ASSERT_TRUE(eventually([&] { return worker_of(*engine_, "count/0").incarnation > before; }));
  }
  expect_counted(50);
  engine_->drain();
  EXPECT_EQ(engine_->stats().dead_letters(), 0U);
}

// At first nothing is committed that could be undone, and nothing is noted.
TEST_F(ConstructorEdges, WhoGoesOnBehindAFullUndoLogIsToldSo) {
  start<Eager>();
  expect_counted(50);
  ASSERT_TRUE(engine_->signal_worker("count/0", SIGKILL));
  EXPECT_THAT(error_of([&] { engine_->wait(); }),
              AllOf(HasSubstr("its constructor changes more than its undo log of 8KiB holds"),
                    HasSubstr("stage.count.undo.bytes=")));
  EXPECT_EQ(engine_->stats().dead_letters(), 0U);
}

// A replacement would not ask for it, and be told that the pipeline is another one.
TEST_F(ConstructorEdges, StateThatIsAskedForLaterIsAnErrorAtOnce) {
  const auto told = AllOf(HasSubstr("cannot keep the state 'late' of stage count"),
                          HasSubstr("ask for it in the handler's constructor"));
  start<Late<false>>();
  auto in = engine_->inlet<Item>("in");
  for (std::uint32_t number = 0; number < 8; ++number)
    ASSERT_EQ(in.push({0, number}), PushResult::accepted);
  EXPECT_THAT(error_of([&] { engine_->wait(); }), told);
  start<Late<true>>();
  engine_->inlet<Item>("in").close();
  EXPECT_THAT(error_of([&] { engine_->wait(); }), told);
}

}  // namespace
}  // namespace sluice::test
