// SPDX-License-Identifier: Apache-2.0
// What an attacker learns from one life of a worker, and what it is worth in the next.
#include <cstdlib>
#include <optional>
#include <set>
#include <thread>

#include "guarded_buffer.hpp"
#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::SizeIs;

struct Deed {
  enum class What : std::uint32_t { tell, die, guess };
  What what = What::tell;
  std::uint32_t number = 0;
  std::uint64_t canary = 0;  // To guess.
};

// What a handler is told by a leak of its memory.
struct Leak {
  std::int64_t pid = 0;
  std::uint64_t canary = 0;
  std::uint64_t of_thread = 0;
  std::uint64_t stack = 0;
  std::uint32_t number = 0;
};

struct Victim {
  void operator()(const Deed& deed, Output<Leak>& out) const {
    if (deed.what == Deed::What::die) std::abort();
    if (deed.what == Deed::What::guess) overflow_with(deed.canary);
    std::uint64_t of_thread = 0;
    std::thread{[&of_thread] { of_thread = canary_now(); }}.join();
    out.push({::getpid(), canary_now(), of_thread,
              reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0)), deed.number});
  }
};

constexpr std::size_t kLives = 8;
// Of places within 1 MiB; so near to each other are those of eight lives once in 30 million times.
constexpr std::uint64_t kNear = 64U << 10;

// A pipeline and who attacks it, one question after the other.
class Attacked {
 public:
  Attacked(const Pipeline& pipeline, const Settings& settings) : engine_{pipeline, settings} {
    engine_.start();
    in_.emplace(engine_.inlet<Deed>("in"));
    out_.emplace(engine_.outlet<Leak>("out"));
  }
  Leak tell() { return answer(push({Deed::What::tell, 0, 0})); }
  void die() { push({Deed::What::die, 0, 0}); }
  std::uint32_t guess(std::uint64_t canary) { return push({Deed::What::guess, 0, canary}); }
  // Of the event of that number; those before it have none, or had theirs.
  Leak answer(std::uint32_t number) {
    Leak got;
    EXPECT_TRUE(eventually([&] {
      out_->poll([&](const Leak& leak) { got = leak; });
      return got.pid != 0;
    }));
    EXPECT_EQ(got.number, number);
    return got;
  }
  void end() {
    in_->close();
    EXPECT_TRUE(engine_.wait_for(kDeadline));
  }

 private:
  std::uint32_t push(Deed deed) {
    deed.number = pushed_++;
    EXPECT_EQ(in_->push(deed), PushResult::accepted);
    return deed.number;
  }

  Engine engine_;
  std::optional<Inlet<Deed>> in_;
  std::optional<Outlet<Leak>> out_;
  std::uint32_t pushed_ = 0;
};

class HostileInput : public WithOutside {
 protected:
  void SetUp() override {
    if (canary_now() == 0)
      GTEST_SKIP() << "on this processor the C library keeps the canary where nobody writes";
  }
  static Pipeline victims(bool hostile) {
    Pipeline pipeline{"victims"};
    pipeline.inlet<Deed>("in").to<Victim>("victim", {.hostile_input = hostile}).outlet("out");
    return pipeline;
  }
  // As often as anybody likes: what is learned is to be worth nothing.
  Settings tries(const std::vector<std::string>& more = {}) const {
    Settings settings = this->settings(more);
    settings.set("poison.attempts", "1");
    settings.set("poison.budget", "1000");
    settings.set("batch.events", "1");
    settings.set("restart.backoff", "1ms");
    settings.set("restart.backoff_max", "1ms");
    return settings;
  }
  static std::vector<Leak> of_lives(const Pipeline& pipeline, const Settings& settings) {
    Attacked attacked{pipeline, settings};
    std::vector<Leak> leaks;
    for (std::size_t life = 0; life < kLives; ++life) {
      leaks.push_back(attacked.tell());
      attacked.die();
    }
    attacked.end();
    return leaks;
  }
  template <class T>
  static std::set<T> each(const std::vector<Leak>& leaks, T Leak::*what) {
    std::set<T> values;
    for (const Leak& leak : leaks)
      values.insert(leak.*what);
    return values;
  }
  static std::uint64_t spread_of_stacks(const std::vector<Leak>& leaks) {
    const std::set<std::uint64_t> stacks = each(leaks, &Leak::stack);
    return *stacks.rbegin() - *stacks.begin();
  }
};

TEST_F(HostileInput, MeetsAnotherCanaryAndAnotherStackInEachLife) {
  const std::vector<Leak> leaks = of_lives(victims(true), tries({"crash.budget=1000"}));
  ASSERT_THAT(each(leaks, &Leak::pid), SizeIs(kLives));
  EXPECT_THAT(each(leaks, &Leak::canary), SizeIs(kLives));
  EXPECT_GT(spread_of_stacks(leaks), kNear);
  for (const Leak& leak : leaks) {
    EXPECT_EQ(leak.of_thread, leak.canary) << "a thread that is made later has its process's";
    EXPECT_EQ(leak.canary & 0xff, 0U) << "no string is copied over it";
    EXPECT_NE(leak.canary, canary_now()) << "the host's";
  }
}

TEST_F(HostileInput, MeetsAnotherCanaryInAnyStageAndAStackThatIsWholeInAnyOther) {
  const std::vector<Leak> leaks = of_lives(victims(false), tries());
  EXPECT_THAT(each(leaks, &Leak::canary), SizeIs(kLives));
  EXPECT_LT(spread_of_stacks(leaks), kNear) << "but for how they were called";
}

TEST_F(HostileInput, IsNotLetPastByWhatIsKnownOfTheLifeBefore) {
  Attacked attacked{victims(true), tries({"crash.budget=1000"})};
  const std::uint64_t known = attacked.tell().canary;
  EXPECT_EQ(attacked.answer(attacked.guess(known)).canary, known) << "who guesses right gets past";
  for (std::size_t life = 0; life < kLives; ++life) {
    const std::uint64_t before = attacked.tell().canary;
    attacked.die();
    attacked.guess(before);  // All of it is known, not only one byte: no answer comes.
  }
  const Leak last = attacked.tell();
  attacked.guess(known);
  attacked.end();
  EXPECT_EQ(last.number, 2 + 3 * kLives);
  EXPECT_THAT(find_dead_letters(file("reports")), SizeIs(2 * kLives + 1));
}

}  // namespace
}  // namespace sluice::test
