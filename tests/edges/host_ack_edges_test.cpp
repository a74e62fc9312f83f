// SPDX-License-Identifier: Apache-2.0
// What a host has pulled counts once it says so: a host that dies before it has used the events gets them again.
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <stdexcept>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <gmock/gmock.h>

#include "errors.hpp"
#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
namespace fs = std::filesystem;

class Ack : public WithProcesses {
 protected:
  Ack() {
    const fs::path parent = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : fs::temp_directory_path();
    std::string name = (parent / "sluice-ack-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    progress_ = static_cast<std::atomic<std::uint64_t>*>(
        ::mmap(nullptr, sizeof(*progress_), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  }
  ~Ack() override {
    ::munmap(progress_, sizeof(*progress_));
    clear_away(directory_);
  }

  Pipeline echo() const {
    Pipeline pipeline{"acks"};
    pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
    return pipeline;
  }
  Settings settings() const {
    Settings settings = test_settings();
    settings.set("segment.path", (directory_ / "segment").string());
    settings.set("state.bytes", "256KiB");
    settings.set("undo.bytes", "64KiB");
    return settings;
  }

  // Runs `host` in a child, and kills it once progress_ is `until`.
  void kill_a_host(const std::function<void(Engine&)>& host, std::uint64_t until) {
    progress_->store(0);
    std::fflush(nullptr);
    const pid_t child = ::fork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      Engine engine{echo(), settings()};
      engine.start();
      host(engine);
      while (true)
        ::pause();
    }
    EXPECT_TRUE(eventually([&] { return progress_->load() >= until; }));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
  }

  // Goes on where a killed host has stopped, once its workers are gone.
  std::unique_ptr<Engine> next_life() const {
    std::unique_ptr<Engine> engine;
    EXPECT_TRUE(eventually([&] {
      engine = std::make_unique<Engine>(echo(), settings());
      try {
        engine->start();
        return true;
      } catch (const Error&) {
        return false;
      }
    }));
    EXPECT_TRUE(engine->resumed());
    return engine;
  }

  // Everything that comes out of what a killed host has left.
  std::vector<std::uint32_t> rest() const {
    const std::unique_ptr<Engine> life = next_life();
    Engine& engine = *life;
    engine.inlet<Item>("in").close();
    std::vector<std::uint32_t> numbers;
    auto out = engine.outlet<Item>("out");
    while (!out.ended())
      out.poll_for(100ms, [&](const Item& item) { numbers.push_back(item.number); });
    engine.wait();
    EXPECT_FALSE(fs::exists(directory_ / "segment")) << "all of it was pulled, and counts";
    return numbers;
  }

  static std::vector<std::uint32_t> from(std::uint32_t first, std::uint32_t end) {
    std::vector<std::uint32_t> numbers;
    numbers.reserve(end - first);
    for (; first < end; ++first)
      numbers.push_back(first);
    return numbers;
  }

  fs::path directory_;
  std::atomic<std::uint64_t>* progress_;
};

constexpr std::uint32_t kEvents = 100;

void push_and_pull(Engine& engine, Outlet<Item>& out) {
  if (engine.inlet<Item>("in").push_batch(items(kEvents, 1)) != PushResult::accepted) return;
  std::size_t pulled = 0;
  // The last of them is one poll, so that no other counts it.
  while (pulled < kEvents) {
    out.wait(kDeadline);
    pulled += out.poll([](const Item&) {}, pulled < kEvents / 2 ? kEvents / 2 - pulled : kEvents);
  }
}

TEST_F(Ack, MakesWhatWasPulledCountAndNothingElseDoes) {
  kill_a_host(
      [this](Engine& engine) {
        auto out = engine.outlet<Item>("out");
        if (engine.inlet<Item>("in").push_batch(items(kEvents, 1)) != PushResult::accepted) return;
        while (out.poll([](const Item&) {}, 1) == 0) {
        }
        progress_->store(1);
      },
      1);
  EXPECT_EQ(rest(), from(0, kEvents)) << "the host had not used what it had pulled";
}

TEST_F(Ack, IsForGoodAlsoForAHostThatIsKilled) {
  kill_a_host(
      [this](Engine& engine) {
        auto out = engine.outlet<Item>("out");
        push_and_pull(engine, out);
        out.ack();
        progress_->store(out.position());
      },
      kEvents);
  EXPECT_EQ(rest(), from(kEvents, kEvents));
}

TEST_F(Ack, CanBeSaidWithinAPollWhichHandsOutNoneTwiceWhateverIsAskedForThere) {
  Engine engine{echo(), settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  ASSERT_EQ(in.push_batch(items(kEvents, 1)), PushResult::accepted);
  in.close();
  auto out = engine.outlet<Item>("out");
  std::vector<std::uint32_t> numbers;
  const auto take = [&](const Item& item) { numbers.push_back(item.number); };
  while (!out.ended()) {
    out.poll_for(100ms, [&](const Item& item) {
      if (item.number % 10 == 3) {
        EXPECT_THAT(error_of([&] { out.poll(take); }),
                    AllOf(HasSubstr("'out'"), HasSubstr("poll behind that")));
        out.ack();
        EXPECT_EQ(out.position(), item.number) << "not the one in hand";
      }
      take(item);
    });
  }
  EXPECT_EQ(numbers, from(0, kEvents));
  EXPECT_EQ(out.position(), kEvents);
  engine.wait();
}

TEST_F(Ack, IsLeftToTheNextPollByOneWhoseEventWasNotTaken) {
  Engine engine{echo(), settings()};
  engine.start();
  ASSERT_EQ(engine.inlet<Item>("in").push_batch(items(kEvents, 1)), PushResult::accepted);
  auto out = engine.outlet<Item>("out");
  const auto refuse = [](const Item&) { throw std::runtime_error{"not now"}; };
  ASSERT_TRUE(out.wait(kDeadline));
  EXPECT_THROW(out.poll(refuse), std::runtime_error);
  std::vector<std::uint32_t> numbers;
  EXPECT_EQ(out.poll([&](const Item& item) { numbers.push_back(item.number); }, 1), 1U);
  EXPECT_EQ(numbers, from(0, 1));
  engine.stop();
}

TEST_F(Ack, IsWhatAskingForMoreMeans) {
  for (int way = 0; way < 3; ++way) {
    SCOPED_TRACE(way);
    kill_a_host(
        [this, way](Engine& engine) {
          auto out = engine.outlet<Item>("out");
          push_and_pull(engine, out);
          if (way == 0) out.poll([](const Item&) {});
          if (way == 1) out.wait(0ns);
          if (way == 2) std::ignore = out.arm();
          progress_->store(out.position());
        },
        kEvents);
    EXPECT_EQ(rest(), from(kEvents, kEvents));
  }
}

TEST_F(Ack, IsWhatTheEndWaitsForAndWhatKeepsTheEventsWhereTheyAre) {
  Engine engine{echo(), test_settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  auto out = engine.outlet<Item>("out");
  EXPECT_EQ(in.push_batch(items(kEvents, 1)), PushResult::accepted);
  in.close();
  std::vector<const Item*> pulled;
  EXPECT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(out.poll([&](const Item& item) { pulled.push_back(&item); }), kEvents);
  EXPECT_FALSE(out.ended()) << "what was pulled does not count yet";
  EXPECT_EQ(out.position(), 0U);
  for (std::uint32_t i = 0; i < kEvents; ++i)
    EXPECT_EQ(pulled[i]->number, i);
  out.ack();
  EXPECT_EQ(out.position(), kEvents);
  EXPECT_TRUE(out.ended());
}

TEST_F(Ack, OfABatchThatIsPushedIsAsWhole) {
  std::mt19937 random{20260118};
  for (int round = 0; round < 3; ++round) {
    constexpr std::uint32_t kBatch = 37;
    kill_a_host(
        [this](Engine& engine) {
          auto in = engine.inlet<Item>("in");
          auto out = engine.outlet<Item>("out");
          while (true) {
            if (in.try_push_batch(items(kBatch, 1)) != PushResult::accepted) out.poll([](const Item&) {});
            progress_->store(in.position());
          }
        },
        1000 + random() % 20'000);
    const std::unique_ptr<Engine> life = next_life();
    Engine& engine = *life;
    EXPECT_GE(engine.inlet<Item>("in").position(), progress_->load());
    EXPECT_EQ(engine.inlet<Item>("in").position() % kBatch, 0U) << "a part of a batch was pushed";
    engine.stop();
    fs::remove(directory_ / "segment");  // The next round begins anew.
  }
}

}  // namespace
}  // namespace sluice::test
