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

// Asks for a piece where no event has come yet.
class AsksWhenIdle {
 public:
  AsksWhenIdle(Worker& worker, const std::string& log) {
    worker.when_idle([&worker, log] {
      if (lines_of(log).empty()) log_line(log, said_by([&] { worker.state<int>("late"); }));
    });
  }
  void operator()(const Item&) {}
};

TEST_F(RefusedCalls, AStateIsAskedForInTheConstructorEvenIfNoEventHasCome) {
  Pipeline pipeline{"late"};
  pipeline.inlet<Item>("in").to<AsksWhenIdle>("ask", {}, log());
  Engine engine{pipeline, settings()};
  engine.start();
  ASSERT_TRUE(eventually([&] { return !lines_of(log()).empty(); }));
  EXPECT_THAT(lines_of(log()).front(),
              AllOf(HasSubstr("'late' of stage ask"), HasSubstr("ask for it in the handler's constructor")));
  EXPECT_TRUE(eventually([&] { return engine.signal_worker("ask/0", SIGKILL); }));
  engine.inlet<Item>("in").close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
}

TEST_F(RefusedCalls, CheckpointsAreNotShippedByNothing) {
  Pipeline pipeline{"ships"};
  pipeline.inlet<Item>("in").to<KeepsWithoutAName>("keep");
  Engine engine{pipeline, settings()};
  EXPECT_THAT(said_by([&] { engine.ship_checkpoints({}); }), HasSubstr("the function is empty"));
}

// Hands one of the calls of a Worker a function that is none.
class HandsNothing {
 public:
  HandsNothing(Worker& worker, int which) {
    if (which == 0) worker.before_commit(std::function<void()>{});
    if (which == 1) worker.before_commit(std::function<void(std::span<const Covered>)>{});
    if (which == 2) worker.after_commit(std::function<void()>{});
    if (which == 3) worker.after_commit(std::function<void(bool)>{});
    if (which == 4) worker.when_idle({});
    if (which == 5) worker.when_safe({});
  }
  void operator()(const Item&) {}
};

TEST_F(RefusedCalls, AWorkerIsHandedNoFunctionThatIsEmpty) {
  const char* const calls[] = {"before_commit()", "before_commit()", "after_commit()",
                               "after_commit()",  "when_idle()",     "when_safe()"};
  for (int which = 0; which < static_cast<int>(std::size(calls)); ++which) {
    Pipeline pipeline{"hands"};
    pipeline.inlet<Item>("in").to<HandsNothing>("act", {}, which);
    Engine engine{pipeline, settings()};
    EXPECT_THAT(said_by([&] { engine.start(); }),
                AllOf(HasSubstr(calls[which]), HasSubstr("stage act"), HasSubstr("the function is empty")));
  }
}

TEST_F(RefusedCalls, APipelineIsHandedNoFunctionThatIsEmpty) {
  Pipeline pipeline{"hands"};
  const auto items = pipeline.inlet<Item>("in");
  std::uint64_t Item::*const no_member = nullptr;
  std::uint64_t (*const no_key)(const Item&) = nullptr;
  void (*const no_handler)(const Item&) = nullptr;
  SourceState (*const no_source)(Output<Item>&) = nullptr;
  const auto empty = HasSubstr("the function is empty");
  EXPECT_THAT(said_by([&] { (void)items.by(no_member); }), empty);
  EXPECT_THAT(said_by([&] { (void)items.by(no_key); }), empty);
  EXPECT_THAT(said_by([&] { (void)items.by(std::function<int(const Item&)>{}); }), empty);
  EXPECT_THAT(said_by([&] { items.to("act", no_handler); }), AllOf(HasSubstr("stage act"), empty));
  EXPECT_THAT(said_by([&] { (void)pipeline.source("make", no_source); }),
              AllOf(HasSubstr("source make"), empty));
  EXPECT_THAT(said_by([&] { executed_worker(0, nullptr, {}); }), empty);
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
  for (const auto& [fd, flushes] : {std::pair{kClosed, false}, {kClosed, true}, {-1, false}, {-1, true}}) {
    Pipeline pipeline{"waits"};
    pipeline.source<WaitsForClosed>("wait", {}, fd, flushes).outlet("out");
    Engine engine{pipeline, settings({"restart.budget=1", "restart.backoff=1ms"})};
    const auto run = [&] {
      engine.start();  // Which may see its end already.
      EXPECT_TRUE(engine.wait_for(kDeadline));
    };
    EXPECT_THAT(said_by(run),
                AllOf(HasSubstr("wait for the descriptor " + std::to_string(fd) + " in stage wait"),
                      HasSubstr("it is not open")))
        << flushes;
  }
}

}  // namespace
}  // namespace sluice::test
