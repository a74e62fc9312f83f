// SPDX-License-Identifier: Apache-2.0
// Kills that look like an operator's, and come each time with the same event: after so many in a row they are taken for its
// own doing. Those of an operator are not.

#include "death/repeated_kills.hpp"

#include <atomic>
#include <csignal>
#include <cstring>
#include <set>
#include <span>
#include <sys/mman.h>
#include <sys/wait.h>
#include <tuple>
#include <unistd.h>
#include <vector>

#include <sluice/dead_letter.hpp>

#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::SizeIs;

constexpr EventsInHand one_event(std::uint64_t position) {
  return {0, position, position + 1};
}

TEST(RepeatedKills, InOneEventAreItsOwnDoingFromTheLastOfARowOn) {
  RepeatedKills kills;
  for (unsigned kill = 1; kill < kKillsInARow; ++kill)
    EXPECT_FALSE(kills.are_own_doing(one_event(64))) << kill;
  for (int attempt = 0; attempt < 3; ++attempt)
    EXPECT_TRUE(kills.are_own_doing(one_event(64)));
  EXPECT_FALSE(kills.are_own_doing(one_event(128))) << "the next event begins anew";
}

TEST(RepeatedKills, BeginAnewWithAnotherEventAnotherLaneOrNone) {
  for (const std::optional<EventsInHand> other :
       {std::optional{one_event(0)}, std::optional{EventsInHand{1, 64, 65}}, std::optional<EventsInHand>{}}) {
    RepeatedKills kills;
    for (unsigned kill = 1; kill < kKillsInARow; ++kill)
      EXPECT_FALSE(kills.are_own_doing(one_event(64)));
    EXPECT_FALSE(kills.are_own_doing(other));
    for (unsigned kill = 1; kill < kKillsInARow; ++kill)
      EXPECT_FALSE(kills.are_own_doing(one_event(64))) << kill;
    EXPECT_TRUE(kills.are_own_doing(one_event(64)));
  }
}

TEST(RepeatedKills, AreInTheSameSpanThoughMoreHasComeIntoItSince) {
  RepeatedKills kills;
  for (unsigned kill = 1; kill < kKillsInARow; ++kill)
    EXPECT_FALSE(kills.are_own_doing(EventsInHand{0, 64, 64 + kill}));
  EXPECT_TRUE(kills.are_own_doing(EventsInHand{0, 64, 1000}));
  EXPECT_TRUE(kills.are_own_doing(EventsInHand{0, 999, 1064}));
}

TEST(RepeatedKills, InASpanThatBeginsElsewhereBeginAnew) {
  RepeatedKills kills;
  for (unsigned kill = 1; kill < kKillsInARow; ++kill)
    EXPECT_FALSE(kills.are_own_doing(EventsInHand{0, 64, 128}));
  EXPECT_FALSE(kills.are_own_doing(EventsInHand{0, 96, 128})) << "something was done in between";
}

TEST(RepeatedKills, InTheHalvesOfASpanCountOn) {
  RepeatedKills kills;
  for (unsigned kill = 1; kill < kKillsInARow; ++kill)
    EXPECT_FALSE(kills.are_own_doing(EventsInHand{0, 64, 128}));
  EXPECT_TRUE(kills.are_own_doing(EventsInHand{0, 64, 128}));
  EXPECT_TRUE(kills.are_own_doing(EventsInHand{0, 96, 128})) << "the first half has taken effect";
  EXPECT_TRUE(kills.are_own_doing(one_event(127)));
  EXPECT_FALSE(kills.are_own_doing(one_event(128)));
}

enum class Killer { itself, terminated, child };
struct OwnKill {
  Killer killer;
  const char* name;
  int signal;
};
constexpr OwnKill kOwnKills[] = {{Killer::itself, "SigkillOfItsOwn", SIGKILL},
                                 {Killer::terminated, "SigtermWithItsDefault", SIGTERM},
                                 {Killer::child, "ItsOwnChild", SIGKILL}};
constexpr std::uint32_t kDoomedItem = 37;

void be_killed(Killer killer) {
  switch (killer) {
    case Killer::itself:
      ::raise(SIGKILL);
      break;
    case Killer::terminated:
      // A worker ignores it, until a library takes the default for it.
      std::signal(SIGTERM, SIG_DFL);
      ::raise(SIGTERM);
      break;
    case Killer::child:
      if (::fork() == 0) {
        ::kill(::getppid(), SIGKILL);
        ::_exit(0);
      }
      while (true)
        ::pause();
  }
}

class KillsItself {
 public:
  explicit KillsItself(Worker&, Killer killer) : killer_{killer} {}
  void operator()(const Item& item, Output<Item>& out) const {
    out.push(item);
    if (item.number == kDoomedItem) be_killed(killer_);
  }

 private:
  Killer killer_;
};

class KilledInASpan {
 public:
  explicit KilledInASpan(Worker&, Killer killer) : killer_{killer} {}
  void operator()(std::span<const Item> items, Output<Item>& out) const {
    for (const Item& item : items)
      out.push(item);
    for (const Item& item : items)
      if (item.number == kDoomedItem) be_killed(killer_);
  }

 private:
  Killer killer_;
};

// Nothing takes effect outside in a test: that it is flushed is enough.
class KilledInAFlush {
 public:
  explicit KilledInAFlush(Worker& worker, Killer killer) {
    worker.before_commit([this, killer](std::span<const Covered>) {
      if (has_bad_) be_killed(killer);
    });
  }
  void operator()(const Item& item, Output<Item>& out) {
    out.push(item);
    has_bad_ = has_bad_ || item.number == kDoomedItem;
  }

 private:
  bool has_bad_ = false;
};

class OwnKills : public WithProcesses, public testing::WithParamInterface<OwnKill> {
 protected:
  OwnKills() {
    settings_.set("report.path", directory_.string());
    settings_.set("restart.backoff_max", "2ms");
  }
  ~OwnKills() override { clear_away(directory_); }

  template <class Handler>
  void expect_one_letter() {
    Pipeline pipeline{"doomed"};
    pipeline.inlet<Item>("in").to<Handler>("doomed", GetParam().killer).outlet("out");
    const std::vector<Item> sent = items(300, 1);
    std::vector<Item> expected;
    for (const Item& item : sent)
      if (item.number != kDoomedItem) expected.push_back(item);
    EXPECT_THAT(run_processes<Item>(pipeline, sent, settings_), ElementsAreArray(expected));
    const std::vector<DeadLetter> letters = find_dead_letters(directory_);
    ASSERT_THAT(letters, SizeIs(1));
    EXPECT_THAT(letters[0].cause, HasSubstr("32 times in a row in one event"));
    EXPECT_EQ(letters[0].attempts, 3U);
    EXPECT_EQ(letters[0].signal, GetParam().signal);
    Item item;
    ASSERT_EQ(letters[0].payload.size(), sizeof(item));
    std::memcpy(&item, letters[0].payload.data(), sizeof(item));
    EXPECT_EQ(item.number, kDoomedItem);
  }

  std::filesystem::path directory_{std::filesystem::temp_directory_path() /
                                   ("sluice-own-kills-" + std::to_string(::getpid()))};
  Settings settings_ = test_settings();
};

TEST_P(OwnKills, MakeADeadLetterOfTheEventAndNothingElse) {
  expect_one_letter<KillsItself>();
}

TEST_P(OwnKills, CutASpanUntilTheEventStandsAlone) {
  expect_one_letter<KilledInASpan>();
}

TEST_P(OwnKills, InAFlushLeadToTheEventOfTheBatch) {
  expect_one_letter<KilledInAFlush>();
}

// Waits in one event to be killed, so often; then goes on.
class KilledByOthers {
 public:
  explicit KilledByOthers(Worker&, std::atomic<unsigned>* attempts, unsigned kills)
      : attempts_{attempts}, kills_{kills} {}
  void operator()(const Item& item, Output<Item>& out) const {
    out.push(item);
    if (item.number != kDoomedItem) return;
    for (const unsigned attempt = ++*attempts_; attempt <= kills_;)
      ::pause();
  }

 private:
  std::atomic<unsigned>* attempts_;
  unsigned kills_;
};

class OthersKills : public OwnKills {};

TEST_F(OthersKills, OfASlowEventBlameNobody) {
  settings_.set("poison.attempts", "1");
  settings_.set("watchdog.deadline", "1h");
  constexpr unsigned kKills = kKillsInARow - 1;
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(page, MAP_FAILED);
  auto* attempts = new (page) std::atomic<unsigned>{0};
  Pipeline pipeline{"slow"};
  pipeline.inlet<Item>("in").to<KilledByOthers>("slow", attempts, kKills).outlet("out");
  const std::vector<Item> sent = items(100, 1);
  const auto kill = [&](Engine& engine, std::size_t pushed) {
    if (pushed != sent.size()) return;
    for (unsigned killed = 0; killed < kKills; ++killed) {
      ASSERT_TRUE(eventually([&] { return *attempts == killed + 1; })) << killed;
      ASSERT_TRUE(engine.signal_worker("slow/0", SIGKILL));
    }
  };
  EXPECT_THAT(run_processes<Item>(pipeline, sent, settings_, kill), ElementsAreArray(sent));
  EXPECT_EQ(*attempts, kKills + 1);
  ::munmap(page, 4096);
}

INSTANTIATE_TEST_SUITE_P(EveryKiller, OwnKills, testing::ValuesIn(kOwnKills),
                         [](const auto& info) { return std::string{info.param.name}; });

}  // namespace
}  // namespace sluice::test
