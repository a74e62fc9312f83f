// SPDX-License-Identifier: Apache-2.0
// Wide workers: several threads handle a batch, what they push comes out in the order of the input, and whoever dies, and
// wherever, every event has taken effect once.

#include <array>
#include <csignal>
#include <cstring>
#include <random>
#include <set>
#include <sys/syscall.h>
#include <vector>

#include <sluice/dead_letter.hpp>
#include <sluice/detail/grain.hpp>
#include <sluice/wide.hpp>

#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"
#include "wide_guide.hpp"

namespace sluice::test {
namespace {

using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::SizeIs;

std::size_t threads_in(pid_t pid) {
  std::error_code error;
  std::filesystem::directory_iterator tasks{"/proc/" + std::to_string(pid) + "/task", error};
  return error ? 0 : static_cast<std::size_t>(std::distance(tasks, {}));
}

bool in_main_thread() {
  return ::syscall(SYS_gettid) == ::getpid();
}

// Takes its time without a processor. Says each item twice, the odd ones also to its second output, and whether the main
// thread had it.
struct Patient {
  std::chrono::microseconds pause{50};
  void operator()(const Item& item, Output<Counted>& out, Output<Item>& odd) const {
    if (pause.count() != 0) std::this_thread::sleep_for(pause);
    const std::uint32_t pool = in_main_thread() ? 0 : 1;
    out.push(std::array<Counted, 2>{Counted{item, pool, 0}, Counted{item, pool, 1}});
    if (item.number % 2 != 0) odd.push([&](Item& made) { made = item; });
  }
};

// Records of any length.
struct PatientText {
  void operator()(const Bytes& line, Output<Bytes>& out) const {
    std::this_thread::sleep_for(20us);
    thread_local std::string reversed;
    reversed.assign(line.text().rbegin(), line.text().rend());
    out.push(Bytes{reversed});
  }
};

enum class Mishap { signal, exception, stall, refused };

volatile bool goes_on = true;

// One number is bad. The others it hands on.
struct Delicate {
  Mishap mishap;
  std::uint32_t bad;
  void operator()(const Item& item, Output<Item>& out) const {
    std::this_thread::sleep_for(20us);
    out.push(item);
    if (item.number != bad) return;
    switch (mishap) {
      case Mishap::signal:
        std::raise(SIGSEGV);
        break;
      case Mishap::exception:
        throw std::runtime_error{"not for me"};
      case Mishap::stall:
        while (goes_on) {
        }
        break;
      case Mishap::refused:
        throw Refused{"not wanted"};
    }
  }
};

Pipeline patient_pipeline(unsigned threads, Patient handler = {}) {
  Pipeline pipeline{"wide"};
  auto [all, odd] = pipeline.inlet<Item>("in").to<Wide<Patient>>("patient", {.threads = threads}, handler);
  odd.to("drop", [](const Item&) {});
  all.outlet("out");
  return pipeline;
}

class WideWorkers : public WithProcesses {
 protected:
  WideWorkers() {
    settings_.set("report.path", directory_.string());
    settings_.set("batch.events", "512");
  }
  ~WideWorkers() override { clear_away(directory_); }

  static void expect_in_order(const std::vector<Item>& sent, const std::vector<Counted>& got) {
    ASSERT_THAT(got, SizeIs(2 * sent.size()));
    for (std::size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(got[i].item, sent[i / 2]) << i;
      ASSERT_EQ(got[i].nth, i % 2) << i;
    }
  }

  std::filesystem::path directory_{std::filesystem::temp_directory_path() /
                                   ("sluice-wide-" + std::to_string(::getpid()))};
  Settings settings_ = test_settings();
};

TEST_F(WideWorkers, HandOutWhatTheirThreadsMadeInTheOrderOfTheInput) {
  const std::vector<Item> sent = items(1500, 7);
  const std::vector<Counted> got = run_processes<Counted>(patient_pipeline(2), sent, settings_);
  expect_in_order(sent, got);
  const auto by_pool =
      std::count_if(got.begin(), got.end(), [](const Counted& counted) { return counted.replica == 1; });
  EXPECT_GT(by_pool, 0);
  EXPECT_LT(by_pool, std::ssize(got));
}

TEST_F(WideWorkers, DoSoBehindAndBeforeLanesOfTwoEvents) {
  settings_.set("lane.slots", "2");
  const std::vector<Item> sent = items(300, 7);
  expect_in_order(sent, run_processes<Counted>(patient_pipeline(3), sent, settings_));
}

TEST_F(WideWorkers, HandleRecordsOfAnyLength) {
  settings_.set("lane.bytes", "16KiB");
  Pipeline pipeline{"wide"};
  pipeline.inlet<Bytes>("in").to<Wide<PatientText>>("text", {.threads = 2}).outlet("out");
  std::vector<std::string> sent;
  std::vector<std::string> expected;
  for (std::size_t i = 0; i < 2000; ++i) {
    sent.push_back(std::to_string(i) + std::string(i % 97, 'x'));
    expected.emplace_back(sent.back().rbegin(), sent.back().rend());
  }
  Engine engine{pipeline, settings_};
  engine.start();
  Collector<Bytes> out{engine, "out"};
  auto in = engine.inlet<Bytes>("in");
  for (const std::string& text : sent)
    ASSERT_EQ(in.push(Bytes{text}), PushResult::accepted);
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_THAT(out.all(), ElementsAreArray(expected));
}

TEST_F(WideWorkers, RunInThisThreadAndInOrderWithoutProcesses) {
  const std::vector<Item> sent = items(100, 7);
  const std::vector<Counted> got = run_inline(patient_pipeline(4), sent, settings_).events<Counted>("out");
  expect_in_order(sent, got);
  EXPECT_TRUE(
      std::all_of(got.begin(), got.end(), [](const Counted& counted) { return counted.replica == 0; }));
}

TEST_F(WideWorkers, HaveNoThreadsWhileOneIsAskedForOrEventsAreQuick) {
  for (const bool quick : {false, true}) {
    Engine engine{quick ? patient_pipeline(2, {0us}) : patient_pipeline(1), settings_};
    engine.start();
    Collector<Counted> out{engine, "out"};
    auto in = engine.inlet<Item>("in");
    const std::vector<Item> sent = items(quick ? 20 : 1000, 7);
    EXPECT_EQ(in.push_batch(sent), PushResult::accepted);
    EXPECT_TRUE(eventually([&] { return out.count() == 2 * sent.size(); }));
    if (!quick) {
      EXPECT_EQ(threads_in(worker_of(engine, "patient/0").pid), 1U);
    }
    in.close();
    EXPECT_TRUE(engine.wait_for(kDeadline));
    expect_in_order(sent, out.all());
  }
}

TEST_F(WideWorkers, KilledAtAnyInstantOfTheirBatchesLoseNothingAndRepeatNothing) {
  constexpr std::size_t kKills = 220;
  settings_.set("restart.backoff_max", "2ms");
  settings_.set("batch.events",
                "64");  // A few milliseconds for the threads: some are done before the next kill.
  Engine engine{patient_pipeline(3, {100us}), settings_};
  engine.start();
  Collector<Counted> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  std::mt19937 random{20261127};
  std::vector<Item> sent;
  const std::vector<Item> more = items(128, 7);
  std::size_t kills = 0;
  pid_t last = 0;
  const auto until = std::chrono::steady_clock::now() + kDeadline;
  while (kills < kKills && std::chrono::steady_clock::now() < until) {
    // Always more than it can do before it is killed: a batch is under way, or about to be.
    while (sent.size() < out.count() / 2 + 1024) {
      for (const Item& item : more)
        sent.push_back({item.key, static_cast<std::uint32_t>(sent.size())});
      ASSERT_EQ(in.push_batch(std::span{sent}.last(more.size())), PushResult::accepted);
    }
    const pid_t pid = worker_of(engine, "patient/0").pid;
    if (pid == 0 || pid == last || threads_in(pid) < 2)
      continue;  // Its pool is there, so that a batch has begun.
    std::this_thread::sleep_for(std::chrono::microseconds{random() % 5000});
    ::kill(pid, SIGKILL);
    last = pid;
    ++kills;
    // Replacements come from processes that have no threads.
    EXPECT_EQ(threads_in(master_of(engine)), 1U);
    EXPECT_EQ(threads_in(supervisor_of(engine)), 1U);
  }
  EXPECT_EQ(kills, kKills);
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  expect_in_order(sent, out.all());
  EXPECT_EQ(worker_of(engine, "patient/0").dead_letters, 0U);
}

struct Misfortune {
  Mishap mishap;
  const char* name;
  const char* cause;
};

class WidePoison : public WideWorkers, public testing::WithParamInterface<Misfortune> {};

TEST_P(WidePoison, OneBadEventOfManyIsFoundAndAllOthersTakeEffectOnce) {
  constexpr std::uint32_t kBad = 777;
  settings_.set("restart.budget", "0");  // Halves and attempts are not charged to it.
  if (GetParam().mishap == Mishap::stall) {
    settings_.set("watchdog.deadline", "50ms");
    settings_.set("batch.events", "16");  // Each half takes a deadline, and a look at the stacks.
  }
  Pipeline pipeline{"wide"};
  pipeline.inlet<Item>("in")
      .to<Wide<Delicate>>("delicate", {.threads = 2}, Delicate{GetParam().mishap, kBad})
      .outlet("out");
  const std::vector<Item> sent = items(1500, 1);
  Engine engine{pipeline, settings_};
  engine.start();
  Collector<Item> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  EXPECT_EQ(in.push_batch(sent), PushResult::accepted);
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  std::vector<Item> expected = sent;
  expected.erase(expected.begin() + kBad);
  EXPECT_THAT(out.all(), ElementsAreArray(expected));
  const std::vector<DeadLetter> letters = find_dead_letters(directory_);
  ASSERT_THAT(letters, SizeIs(1));
  EXPECT_EQ(letters.front().position, kBad * sizeof(Item));
  EXPECT_THAT(letters.front().cause, HasSubstr(GetParam().cause));
  Item item;
  ASSERT_EQ(letters.front().payload.size(), sizeof(item));
  std::memcpy(&item, letters.front().payload.data(), sizeof(item));
  EXPECT_EQ(item, (Item{0, kBad}));
  // A batch of 512, as docs/guide/wide.md says it: nine halvings and three attempts.
  EXPECT_LE(worker_of(engine, "delicate/0").restarts, 12U);
}

INSTANTIATE_TEST_SUITE_P(EveryMishap, WidePoison,
                         testing::Values(Misfortune{Mishap::signal, "Signal", "signal 11"},
                                         Misfortune{Mishap::exception, "Exception", "not for me"},
                                         Misfortune{Mishap::stall, "Stall", "watchdog ended it"},
                                         Misfortune{Mishap::refused, "Refused", "refused: not wanted"}),
                         [](const auto& info) { return std::string{info.param.name}; });

TEST_F(WideWorkers, GoOnForTheWatchdogWhileTheirBatchLastsLongerThanItsDeadline) {
  settings_.set("watchdog.deadline", "400ms");
  const std::vector<Item> sent = items(64, 1);
  Engine engine{patient_pipeline(2, {30ms}), settings_};
  engine.start();
  Collector<Counted> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  EXPECT_EQ(in.push_batch(sent), PushResult::accepted);
  in.close();
  EXPECT_TRUE(engine.wait_for(kDeadline));
  expect_in_order(sent, out.all());
  EXPECT_EQ(worker_of(engine, "patient/0").restarts, 0U);
}

TEST_F(WideWorkers, AreRefusedToAHandlerThatRunsInOneThread) {
  Pipeline pipeline{"narrow"};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  settings_.set("stage.echo.threads", "2");
  EXPECT_THAT(error_of([&] { Engine{pipeline, settings_}; }), HasSubstr("its handler runs in one"));
  Pipeline asked{"narrow"};
  asked.inlet<Item>("in").to<Echo>("echo", {.threads = 2}).outlet("out");
  EXPECT_THAT(error_of([&] { Engine{asked, test_settings()}; }), HasSubstr("Wide<Handler>"));
}

TEST_F(WideWorkers, OfTheGuideDigestTheirLinesInOrderWhileTheyAreKilled) {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < 2000; ++i)
    lines.push_back("line " + std::to_string(i));
  InlineRun reference{digest_pipeline(), settings_};
  for (const std::string& line : lines)
    reference.push("lines", Bytes{line});
  reference.finish();
  Engine engine{digest_pipeline(), settings_};
  engine.start();
  Collector<Bytes> out{engine, "digests"};
  auto in = engine.inlet<Bytes>("lines");
  for (std::size_t i = 0; i < lines.size(); ++i) {
    ASSERT_EQ(in.push(Bytes{lines[i]}), PushResult::accepted);
    const pid_t pid = i % 200 == 199 ? worker_of(engine, "digest/0").pid : 0;
    if (pid > 0) ::kill(pid, SIGKILL);
  }
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  const std::vector<std::string> digests = out.all();
  ASSERT_THAT(digests, SizeIs(lines.size()));
  EXPECT_THAT(digests, ElementsAreArray(reference.events<Bytes>("digests")));
  EXPECT_TRUE(digests.front().starts_with("line 0 "));
}

TEST(WideGuide, HasTheProgramThatIsTestedHere) {
  const auto text_of = [](const std::string& path) {
    std::ifstream text{path};
    return std::string{std::istreambuf_iterator<char>{text}, {}};
  };
  const std::string program = text_of(SLUICE_SOURCE_DIRECTORY "/tests/poison/wide_guide.hpp");
  const std::string mark = "// [guide]\n";
  const std::size_t from = program.find(mark) + mark.size();
  const std::string shown = program.substr(from, program.rfind(mark) - from);
  ASSERT_GT(shown.size(), 500U);
  EXPECT_NE(text_of(SLUICE_SOURCE_DIRECTORY "/docs/guide/wide.md").find("```cpp\n" + shown + "```"),
            std::string::npos)
      << "the guide shows another program";
}

TEST(Grain, DividesABatchByWhatItsEventsTake) {
  detail::Grain grain{4};
  EXPECT_FALSE(grain.known());
  EXPECT_EQ(grain.parts(1000), 1U);
  grain.note(10, 1us);  // 100 ns each.
  EXPECT_TRUE(grain.known());
  EXPECT_EQ(grain.parts(100), 1U);
  EXPECT_EQ(grain.parts(1000), 5U);
  EXPECT_EQ(grain.parts(1'000'000), 32U);
  detail::Grain slow{4};
  slow.note(1, 1ms);
  EXPECT_EQ(slow.parts(1), 1U);
  EXPECT_EQ(slow.parts(2), 2U);
  EXPECT_EQ(slow.parts(7), 7U);
  EXPECT_EQ(slow.parts(500), 32U);
  for (int i = 0; i < 100; ++i)
    slow.note(100, 1us);
  EXPECT_EQ(slow.parts(100), 1U);  // It forgets.
}

}  // namespace
}  // namespace sluice::test
