// SPDX-License-Identifier: Apache-2.0
// Checkpoints that are taken elsewhere: each counts once it has arrived there, and what waits for one waits for that.

#include <atomic>
#include <fstream>
#include <sys/mman.h>

#include <sluice/detail/readied_shipper.hpp>

#include "errors.hpp"
#include "with_checkpoints.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// What the shipper and the test tell each other; shared with the process that writes the checkpoints.
struct Shared {
  enum class Order { copy, fail, wait };
  std::atomic<Order> order{Order::copy};
  std::atomic<unsigned> shipped{0};
  std::atomic<unsigned> refused{0};
  std::atomic<pid_t> waits{0};
  std::atomic<std::uint64_t> last{0};  // Number.
  std::atomic<bool> in_order{true};
  std::atomic<unsigned> readied{0};
  std::atomic<unsigned> shipped_unready{0};
};

class CheckpointShipping : public WithCheckpoints {
 protected:
  using Order = Shared::Order;

  CheckpointShipping() {
    void* const memory =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    shared_ = new (memory) Shared;
    fs::create_directory(elsewhere());
    fs::permissions(elsewhere(), fs::perms::owner_all);
  }
  ~CheckpointShipping() override { ::munmap(shared_, sizeof(Shared)); }

  fs::path elsewhere() const { return scratch_ / "elsewhere"; }

  CheckpointShipper shipper() const {
    return [shared = shared_, to = elsewhere()](const ShippedCheckpoint& checkpoint) {
      if (shared->order == Order::fail) {
        ++shared->refused;
        throw Error{{"ship", checkpoint.file.filename().string(), "nobody takes it", "try again"}};
      }
      if (shared->order == Order::wait) {
        shared->waits = ::getpid();
        while (true)
          ::pause();
      }
      if (checkpoint.number <= shared->last || fs::file_size(checkpoint.file) != checkpoint.bytes ||
          checkpoint.base != (checkpoint.file.extension() == ".base") ||
          (shared->shipped == 0 && !checkpoint.base))
        shared->in_order = false;
      // A client has threads.
      std::thread{[&] { fs::copy_file(checkpoint.file, to / checkpoint.file.filename()); }}.join();
      shared->last = checkpoint.number;
      ++shared->shipped;
    };
  }

  // Waits for checkpoints with what leads out.
  Settings held(const std::vector<std::string>& more = {}) const {
    std::vector<std::string> all{"outside.after=checkpoint"};
    all.insert(all.end(), more.begin(), more.end());
    return settings(all);
  }
  static void push(Engine& engine, std::uint32_t count) {
    Inlet<Item> in = engine.inlet<Item>("in");
    for (std::uint32_t next = 0; next < count; ++next)
      ASSERT_EQ(in.push({0, next}), PushResult::accepted);
  }
  static std::uint64_t pulled(Engine& engine) {
    Outlet<Seen> out = engine.outlet<Seen>("out");
    out.poll([](const Seen&) {});
    return out.position();
  }
  // What was shipped, in a pipeline of another machine.
  void goes_on_elsewhere(std::uint64_t position) {
    Engine engine{counting(), settings({"checkpoint.path=" + elsewhere().string()})};
    engine.start();
    EXPECT_TRUE(engine.resumed());
    EXPECT_EQ(engine.inlet<Item>("in").position(), position);
    push_and_pull(engine, 100);
  }

  Shared* shared_ = nullptr;
};

TEST_F(CheckpointShipping, TakesEachWholeAndInOrderToWhereAnotherGoesOn) {
  {
    Engine engine{counting(), held()};
    engine.ship_checkpoints(shipper());
    engine.start();
    for (int turn = 0; turn < 5; ++turn)
      push_and_pull(engine, 200);
    const unsigned before = shared_->shipped;
    EXPECT_TRUE(eventually([&] { return shared_->shipped >= before + 2; }));
    lose(engine);
  }
  EXPECT_TRUE(shared_->in_order);
  goes_on_elsewhere(1000);
}

// Whoever waits for the first checkpoint does not wait for a connection as well.
TEST_F(CheckpointShipping, IsReadyBeforeTheFirstIsWanted) {
  Engine engine{counting(), held({"checkpoint.every=1h"})};
  engine.ship_checkpoints(ReadiedShipper{.ship =
                                             [shared = shared_, ship = shipper()](const auto& checkpoint) {
                                               if (shared->readied != 1) ++shared->shipped_unready;
                                               ship(checkpoint);
                                             },
                                         .ready =
                                             [shared = shared_, host = ::getpid()] {
                                               if (::getpid() != host) ++shared->readied;
                                               throw Error{{"connect to", "nobody", "it is away", ""}};
                                             }});
  engine.start();
  EXPECT_TRUE(eventually([&] { return shared_->readied == 1U; }));
  EXPECT_EQ(shared_->shipped, 0U);
  push(engine, 100);
  engine.park();
  EXPECT_EQ(shared_->shipped, 1U);
  EXPECT_EQ(shared_->shipped_unready, 0U);
  EXPECT_EQ(engine.stats().checkpoints.failures, 0U) << "that it was not is nobody's yet";
}

TEST_F(CheckpointShipping, HoldsWhatLeadsOutUntilOneHasArrived) {
  shared_->order = Order::fail;
  Engine engine{counting(), held()};
  engine.ship_checkpoints(shipper());
  engine.start();
  push(engine, 100);
  EXPECT_TRUE(eventually([&] { return engine.stats().checkpoints.failures >= 2; }));
  EXPECT_FALSE(files().empty()) << "they are on this disk";
  EXPECT_EQ(engine.stats().checkpoints.written, 0U);
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "count/0").events_in == 100U; }));
  EXPECT_EQ(pulled(engine), 0U);
  shared_->order = Order::copy;
  EXPECT_TRUE(eventually([&] { return pulled(engine) == 100U; }));
  EXPECT_TRUE(shared_->in_order) << "a base comes first";
  lose(engine);
  goes_on_elsewhere(100);
}

TEST_F(CheckpointShipping, DoesNotCountWhenItsProcessDiesInTheMidst) {
  shared_->order = Order::wait;
  Engine engine{counting(), held()};
  engine.ship_checkpoints(shipper());
  engine.start();
  push(engine, 100);
  pid_t first = 0;
  ASSERT_TRUE(eventually([&] { return (first = shared_->waits) != 0; }));
  ::kill(first, SIGKILL);
  ASSERT_TRUE(eventually([&] { return shared_->waits != first; })) << "the next one tries it";
  EXPECT_EQ(engine.stats().checkpoints.written, 0U);
  EXPECT_EQ(pulled(engine), 0U);
  shared_->order = Order::copy;
  ::kill(shared_->waits, SIGKILL);
  EXPECT_TRUE(eventually([&] { return pulled(engine) == 100U; }));
  EXPECT_TRUE(shared_->in_order);
}

TEST_F(CheckpointShipping, BelongsToThePark) {
  {
    Engine engine{counting(), held({"checkpoint.every=1h"})};
    std::vector<unsigned> told;
    engine.ship_checkpoints(shipper(), [&] { told.push_back(shared_->shipped); });
    engine.start();
    push(engine, 500);
    EXPECT_TRUE(eventually([&] { return worker_of(engine, "count/0").events_in == 500U; }));
    EXPECT_FALSE(engine.wait_for(0ns));
    const unsigned before = shared_->shipped;
    EXPECT_THAT(told, IsEmpty());
    engine.park();
    EXPECT_EQ(engine.end(), End::parked);
    EXPECT_EQ(shared_->shipped, before + 1);
    EXPECT_THAT(told, ElementsAre(before + 1)) << "once, and that it is stored";
  }
  Engine engine{counting(), settings({"checkpoint.path=" + elsewhere().string()})};
  engine.start();
  EXPECT_EQ(engine.inlet<Item>("in").position(), 500U);
  EXPECT_TRUE(eventually([&] { return pulled(engine) == 500U; }));
}

TEST_F(CheckpointShipping, ThatFailsFailsThePark) {
  shared_->order = Order::fail;
  Engine engine{counting(), held({"checkpoint.every=1h"})};
  engine.ship_checkpoints(shipper(), [] { ADD_FAILURE() << "nobody has it"; });
  engine.start();
  push(engine, 10);
  EXPECT_THAT(error_of([&] { engine.park(); }), HasSubstr("nobody takes it"));
  EXPECT_GE(shared_->refused, 2U) << "it was tried again";
}

// No failure has no words.
TEST_F(CheckpointShipping, ThatFailsWithoutAWordFailsTheParkToo) {
  Engine engine{counting(), held({"checkpoint.every=1h"})};
  engine.ship_checkpoints([](const ShippedCheckpoint&) { throw std::runtime_error{""}; });
  engine.start();
  push(engine, 10);
  EXPECT_THAT(error_of([&] { engine.park(); }), HasSubstr("its last checkpoint could not be written"));
  EXPECT_NE(engine.end(), End::parked);
  EXPECT_NE(engine.stats().checkpoints.failure, "");
}

// Whoever is outside has waited since another host has parked it.
TEST_F(CheckpointShipping, ComesAtOnceForWhatFirstWaitsAfterARestore) {
  {
    Engine engine{counting(), held()};
    engine.start();
    push_and_pull(engine, 200);
    lose(engine);
  }
  Engine engine{counting(), held({"checkpoint.every=1h"})};
  engine.ship_checkpoints([](const ShippedCheckpoint&) {});
  engine.start();
  ASSERT_TRUE(engine.resumed());
  EXPECT_EQ(engine.inlet<Item>("in").position(), 200U);
  push(engine, 100);
  // With as many as were there by then; the others have an hour.
  EXPECT_TRUE(eventually([&] { return pulled(engine) > 200U; })) << pulled(engine);
}

TEST_F(CheckpointShipping, ComesBeforeTheEndOfWhatHasFinished) {
  Engine engine{counting(), held()};
  engine.ship_checkpoints(shipper());
  engine.start();
  push(engine, 100);
  engine.inlet<Item>("in").close();
  EXPECT_TRUE(eventually([&] { return pulled(engine) == 100U; }));
  engine.wait();
  EXPECT_EQ(engine.end(), End::finished);
  EXPECT_TRUE(shared_->in_order);
  EXPECT_TRUE(files().empty());
}

TEST_F(CheckpointShipping, IsRefusedWhereNothingIsMadeOrTooLate) {
  Engine none{counting(), test_settings()};
  none.ship_checkpoints(shipper());
  EXPECT_THAT(error_of([&] { none.start(); }), HasSubstr("checkpoint.path"));
  Engine engine{counting(), settings()};
  engine.start();
  EXPECT_THAT(error_of([&] { engine.ship_checkpoints(shipper()); }), HasSubstr("before start()"));
}

TEST_F(CheckpointShipping, IsRestoredAheadOfTheStartThatGoesOnWithIt) {
  Engine second{counting(), settings({"checkpoint.path=" + elsewhere().string()})};
  EXPECT_FALSE(second.restore_ahead()) << "nothing is there yet";
  {
    Engine first{counting(), held()};
    first.ship_checkpoints(shipper());
    first.start();
    for (int turn = 0; turn < 5; ++turn) {
      push_and_pull(first, 200);
      EXPECT_TRUE(second.restore_ahead());
    }
    lose(first);
  }
  second.start();
  EXPECT_TRUE(second.resumed());
  EXPECT_EQ(second.inlet<Item>("in").position(), 1000U);
  push_and_pull(second, 100);
  EXPECT_THAT(error_of([&] { second.restore_ahead(); }), HasSubstr("it has been started"));
}

// A start believes the ends of the files, and reads what lies between them as it restores it.
TEST_F(CheckpointShipping, IsNotSteppedBackFromWhenTheNewestIsDamaged) {
  {
    Engine engine{counting(), settings({"checkpoint.keep=20"})};
    engine.start();
    push_and_pull(engine, 500);
    EXPECT_TRUE(a_new_one());
    push_and_pull(engine, 500);
    EXPECT_TRUE(a_new_one());
    lose(engine);
  }
  {
    std::fstream newest{files().back(), std::ios::in | std::ios::out | std::ios::binary};
    const auto middle = static_cast<std::streamoff>(fs::file_size(files().back()) / 2);
    newest.seekg(middle);
    const int was = newest.get();
    newest.seekp(middle);
    newest.put(static_cast<char>(was ^ 1));
  }
  {
    Engine engine{counting(), settings()};
    engine.ship_checkpoints(shipper());
    EXPECT_THAT(error_of([&] { engine.start(); }),
                testing::AllOf(HasSubstr("they are shipped"), HasSubstr("fetch them")));
  }
  Engine engine{counting(), settings()};
  engine.start();
  EXPECT_THAT(engine.resumed_from(), HasSubstr("newer ones are not whole"));
  push_and_pull(engine, 100);
}

}  // namespace
}  // namespace sluice::test
