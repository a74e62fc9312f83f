// SPDX-License-Identifier: Apache-2.0
// A descriptor that is closed, a name that is empty, a function that is none: an Error at the call, which says which.
#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class RefusedCalls : public WithOutside {};

// What a call, or the end of a pipeline, says.
template <class Call>
std::string said_by(Call&& call) {
  try {
    call();
    return "nothing";
  } catch (const Error& error) {
    return error.what();
  }
}

class KeepsWithoutAName {
 public:
  explicit KeepsWithoutAName(Worker& worker) { worker.state<int>(""); }
  void operator()(const Item&) {}
};

TEST_F(RefusedCalls, AStateWithoutANameIsRefused) {
  Pipeline pipeline{"nameless"};
  pipeline.inlet<Item>("in").to<KeepsWithoutAName>("keep");
  Engine engine{pipeline, settings()};
  EXPECT_THAT(said_by([&] { engine.start(); }),
              AllOf(HasSubstr("of stage keep"), HasSubstr("its name is empty")));
}

TEST_F(RefusedCalls, CheckpointsAreNotShippedByNothing) {
  Pipeline pipeline{"ships"};
  pipeline.inlet<Item>("in").to<KeepsWithoutAName>("keep");
  Engine engine{pipeline, settings()};
  EXPECT_THAT(said_by([&] { engine.ship_checkpoints({}); }), HasSubstr("the function is empty"));
}

// Waits for a descriptor that is closed, with a flush or without.
class WaitsForClosed {
 public:
  WaitsForClosed(Worker& worker, int fd, bool flushes) : worker_{worker}, fd_{fd} {
    if (flushes) worker.before_commit([] {});
  }
  SourceState operator()(Output<Item>& out) const {
    if (!worker_.wait_for(fd_, 1h)) return SourceState::nothing_now;
    out.push({});
    return SourceState::end;
  }

 private:
  Worker& worker_;
  int fd_;
};

TEST_F(RefusedCalls, AClosedDescriptorCannotBeWaitedFor) {
  constexpr int kClosed = 987;  // Above what a worker has open.
  for (const bool flushes : {false, true}) {
    Pipeline pipeline{"waits"};
    pipeline.source<WaitsForClosed>("wait", {}, kClosed, flushes).outlet("out");
    Engine engine{pipeline, settings({"restart.budget=1", "restart.backoff=1ms"})};
    const auto run = [&] {
      engine.start();  // Which may see its end already.
      EXPECT_TRUE(engine.wait_for(kDeadline));
    };
    EXPECT_THAT(said_by(run),
                AllOf(HasSubstr("wait for the descriptor 987 in stage wait"), HasSubstr("it is not open")))
        << flushes;
  }
}

}  // namespace
}  // namespace sluice::test
