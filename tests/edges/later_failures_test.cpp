// SPDX-License-Identifier: Apache-2.0
// What cannot be written any more once a pipeline runs: a dead letter waits in its lane, a report is lost and counted,
// and the pipeline goes on.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sluice/dead_letter.hpp>
#include <sluice/main.hpp>
#include <sluice/observer.hpp>

#include "outside_world.hpp"

namespace sluice::test {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

struct Frail {
  explicit Frail(std::set<std::uint32_t> deadly) : deadly{std::move(deadly)} {}
  void operator()(const Item& item, Output<Item>& out) const {
    if (deadly.contains(item.number)) std::abort();
    out.push(item);
  }
  std::set<std::uint32_t> deadly;
};

// Its files may not grow beyond a few bytes until `go_on` is there.
struct Limited : Frail {
  Limited(const std::string& go_on, std::set<std::uint32_t> deadly) : Frail{std::move(deadly)} {
    rlimit limit{};
    ::getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = std::filesystem::exists(go_on) ? limit.rlim_max : 10;
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
};

class LaterFailures : public WithOutside {
 protected:
  std::filesystem::path reports() const { return file("reports"); }
  Settings settings(const std::vector<std::string>& more = {}) const {
    Settings settings = WithOutside::settings(more);
    settings.set("poison.attempts", "1");
    settings.set("watchdog.deadline", "500ms");
    return settings;
  }
  static bool waits(const Engine& engine, const std::string& text) {
    const WorkerStats worker = worker_of(engine, "frail/0");
    return worker.verdict == "waiting outside" && worker.outside.find(text) != std::string::npos;
  }
  std::vector<std::uint32_t> letters() const {
    std::vector<std::uint32_t> numbers;
    for (const DeadLetter& letter : find_dead_letters(reports())) {
      Item item;
      std::memcpy(&item, letter.payload.data(), sizeof(item));
      numbers.push_back(item.number);
    }
    return numbers;
  }
  static Pipeline frail(std::set<std::uint32_t> deadly) {
    Pipeline pipeline{"frail"};
    pipeline.inlet<Item>("in").to<Frail>("frail", std::move(deadly)).outlet("out");
    return pipeline;
  }
  static std::vector<Item> without(std::vector<Item> all, const std::set<std::uint32_t>& deadly) {
    std::erase_if(all, [&](const Item& item) { return deadly.contains(item.number); });
    return all;
  }
};

TEST_F(LaterFailures, OfADeadLetterHoldUpItsLaneAndCostNoEvent) {
  Engine engine{frail({3, 4}), settings()};
  engine.start();
  std::ofstream{reports()} << "in the way";
  Collector<Item> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(10, 1))
    std::ignore = in.push(item);
  ASSERT_TRUE(eventually([&] { return waits(engine, "dead letter cannot be written"); }));
  EXPECT_THAT(worker_of(engine, "frail/0").outside, HasSubstr(reports().string()));
  const std::chrono::milliseconds cpu = cpu_time_of(worker_of(engine, "frail/0").pid);
  std::this_thread::sleep_for(1s);  // Two deadlines.
  EXPECT_LT(cpu_time_of(worker_of(engine, "frail/0").pid) - cpu, 200ms) << "it waits, and costs nothing";
  EXPECT_TRUE(eventually([&] { return waits(engine, "dead letter"); }));
  EXPECT_EQ(worker_of(engine, "frail/0").restarts, 1U);
  EXPECT_EQ(engine.stats().dead_letters(), 0U);
  EXPECT_GE(engine.stats().reports_lost, 1U) << "the death of that worker";
  std::filesystem::remove(reports());
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(out.all(), without(items(10, 1), {3, 4}));
  EXPECT_THAT(letters(), ElementsAre(3, 4));
}

TEST_F(LaterFailures, OfAFileThatVanishesCostOnlyWhatStoodInIt) {
  Engine engine{frail({3, 7}), settings()};
  engine.start();
  Collector<Item> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  const std::vector<Item> all = items(10, 1);
  for (std::size_t i = 0; i < 5; ++i)
    std::ignore = in.push(all[i]);
  ASSERT_TRUE(eventually([&] { return engine.stats().dead_letters() == 1; }));
  EXPECT_THAT(letters(), ElementsAre(3));
  std::filesystem::rename(reports(), file("moved"));
  for (std::size_t i = 5; i < 10; ++i)
    std::ignore = in.push(all[i]);
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(out.all(), without(all, {3, 7}));
  EXPECT_THAT(letters(), ElementsAre(7));
  EXPECT_THAT(find_dead_letters(file("moved")), SizeIs(1));
}

// Another file under the name is left as it is: it may hold what somebody has put back.
TEST_F(LaterFailures, OverwriteNoFileThatHasTakenThePlaceOfTheLetters) {
  Engine engine{frail({3, 7}), settings()};
  engine.start();
  Collector<Item> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  const std::vector<Item> all = items(10, 1);
  for (std::size_t i = 0; i < 5; ++i)
    std::ignore = in.push(all[i]);
  ASSERT_TRUE(eventually([&] { return engine.stats().dead_letters() == 1; }));
  const std::filesystem::path first = find_dead_letters(reports()).at(0).file;
  std::filesystem::copy_file(first, file("copy"));
  std::filesystem::remove(first);
  std::filesystem::copy_file(file("copy"), first);
  std::filesystem::permissions(first,
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  for (std::size_t i = 5; i < 10; ++i)
    std::ignore = in.push(all[i]);
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(out.all(), without(all, {3, 7}));
  EXPECT_THAT(letters(), ElementsAre(3, 7));
}

TEST_F(LaterFailures, OfAFileThatMayNotGrowKillNoWorker) {
  Pipeline pipeline{"frail"};
  pipeline.inlet<Item>("in")
      .to<Limited>("frail", {}, file("go on"), std::set<std::uint32_t>{3})
      .outlet("out");
  Engine engine{pipeline, settings()};
  engine.start();
  Collector<Item> out{engine, "out"};
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(5, 1))
    std::ignore = in.push(item);
  ASSERT_TRUE(eventually([&] { return waits(engine, "ulimit -f"); }));
  std::ofstream{file("go on")} << "yes";
  in.close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(out.all(), without(items(5, 1), {3}));
  EXPECT_THAT(letters(), ElementsAre(3));
  EXPECT_EQ(worker_of(engine, "frail/0").restarts, 1U);
}

TEST_F(LaterFailures, LetAStopThrough) {
  Engine engine{frail({0}), settings()};
  engine.start();
  std::ofstream{reports()} << "in the way";
  auto in = engine.inlet<Item>("in");
  for (const Item& item : items(5, 1))
    std::ignore = in.push(item);
  ASSERT_TRUE(eventually([&] { return waits(engine, "dead letter"); }));
  EXPECT_EQ(engine.stop().events, 5U);
}

TEST_F(LaterFailures, AreKeptByAParkAndHealedByTheNextStart) {
  Settings named = settings({"segment.path=" + file("segment")});
  const std::vector<Item> all = items(5, 1);
  {
    Engine engine{frail({0}), named};
    engine.start();
    std::ofstream{reports()} << "in the way";
    auto in = engine.inlet<Item>("in");
    for (const Item& item : all)
      std::ignore = in.push(item);
    ASSERT_TRUE(eventually([&] { return waits(engine, "dead letter"); }));
    engine.park();
  }
  std::filesystem::remove(reports());
  Engine engine{frail({0}), named};
  engine.start();
  EXPECT_TRUE(engine.resumed());
  Collector<Item> out{engine, "out"};
  engine.inlet<Item>("in").close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  EXPECT_EQ(out.all(), without(all, {0}));
  EXPECT_THAT(letters(), ElementsAre(0));
}

struct Throws {
  void operator()(const Item& item, Output<Item>&) const {
    throw std::runtime_error{"no tariff for " + std::to_string(item.number)};
  }
};

TEST_F(LaterFailures, OfALetterLeaveItsCauseToTheNextStart) {
  Settings named = settings({"segment.path=" + file("segment")});
  Pipeline pipeline{"throws"};
  pipeline.inlet<Item>("in").to<Throws>("frail").outlet("out");
  {
    Engine engine{pipeline, named};
    engine.start();
    std::ofstream{reports()} << "in the way";
    auto in = engine.inlet<Item>("in");
    std::ignore = in.push({0, 41});
    ASSERT_TRUE(eventually([&] { return waits(engine, "dead letter"); }));
    engine.stop();
  }
  std::filesystem::remove(reports());
  Engine engine{pipeline, named};
  engine.start();
  Collector<Item> out{engine, "out"};
  engine.inlet<Item>("in").close();
  ASSERT_TRUE(engine.wait_for(kDeadline));
  const std::vector<DeadLetter> all = find_dead_letters(reports());
  ASSERT_THAT(all, SizeIs(1));
  EXPECT_THAT(all.front().cause, HasSubstr("no tariff for 41"));
  EXPECT_EQ(all.front().backtrace, "") << "of a process of another start";
}

// The kernel would kill the master with SIGXFSZ.
TEST_F(LaterFailures, OfAReportAreCountedAndEndNoMaster) {
  Engine engine{frail({}), settings()};
  engine.start();
  const rlimit limit{1, RLIM_INFINITY};
  ASSERT_EQ(::prlimit(master_of(engine), RLIMIT_FSIZE, &limit, nullptr), 0);
  std::filesystem::create_directories(reports());
  std::filesystem::permissions(reports(), std::filesystem::perms::owner_all);
  std::ofstream{reports() / "deaths.jsonl"} << "{}\n";
  std::filesystem::permissions(reports() / "deaths.jsonl",
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_TRUE(engine.signal_worker("frail/0", SIGKILL));
  EXPECT_TRUE(eventually([&] { return engine.stats().reports_lost == 1; }));
  EXPECT_TRUE(eventually([&] { return worker_of(engine, "frail/0").incarnation == 2; }));
  EXPECT_EQ(engine.stats().masters, 1U);
  EXPECT_THAT(to_text(engine.stats(), {}, 0), HasSubstr("1 report could not be written"));
  engine.stop();
}

TEST_F(LaterFailures, OfTheFileOfTheMemoryMakeAParkAnError) {
  for (const bool replaced : {false, true}) {
    Engine engine{frail({}), settings({"segment.path=" + file("memory")})};
    engine.start();
    ASSERT_EQ(engine.inlet<Item>("in").push({0, 1}), PushResult::accepted);
    std::filesystem::remove(file("memory"));
    if (replaced) std::ofstream{file("memory")} << "another";
    EXPECT_THAT(error_of([&] { engine.park(); }), AllOf(HasSubstr(file("memory")), HasSubstr("was removed")));
    EXPECT_EQ(engine.end(), End::failed);
    EXPECT_EQ(engine.kept_in(), "");
    std::filesystem::remove(file("memory"));
  }
}

// `sluice park` says what Observer::end() says.
TEST_F(LaterFailures, OfTheFileOfTheMemoryAreToldToTheOperatorWhoAskedForAPark) {
  Settings kept = settings({"segment.path=" + file("memory"), "observe.socket=" + file("socket")});
  Engine engine{frail({}), kept};
  engine.start();
  std::filesystem::remove(file("memory"));
  std::ofstream{file("memory")} << "another";
  const Observer observer = Observer::attach(file("socket"));
  ask_to_park(file("socket"));
  EXPECT_TRUE(eventually([&] { return observer.over(); }));
  EXPECT_EQ(observer.end(), End::failed);
  EXPECT_THAT(error_of([&] { engine.wait(); }), HasSubstr("another has taken its place"));
}

TEST_F(LaterFailures, OfTheFileOfTheMemoryLeaveTheLastCheckpointIfNothingIsInItsWay) {
  const Settings kept =
      settings({"segment.path=" + file("memory"), "checkpoint.path=" + file("checkpoints")});
  {
    Engine engine{frail({}), kept};
    engine.start();
    ASSERT_EQ(engine.inlet<Item>("in").push({0, 1}), PushResult::accepted);
    std::filesystem::remove(file("memory"));
    engine.park();
    EXPECT_EQ(engine.end(), End::parked);
    EXPECT_EQ(engine.kept_in(), file("checkpoints"));
  }
  Engine engine{frail({}), kept};
  engine.start();
  EXPECT_THAT(engine.resumed_from(), HasSubstr(file("checkpoints")));
  std::filesystem::remove(file("memory"));
  std::ofstream{file("memory")} << "another";
  EXPECT_THAT(error_of([&] { engine.park(); }),
              AllOf(HasSubstr("last checkpoint in " + file("checkpoints")), HasSubstr("in the way")));
}

struct Numbered {
  bool operator()(Output<Item>& out) {
    out.push({0, number_++});
    return true;
  }
  std::uint32_t number_ = 0;
};
struct Forget {
  void operator()(const Item&) const {}
};

TEST_F(LaterFailures, OfTheFileOfTheMemoryEndAProgramThatIsToParkWithStatusOne) {
  const pid_t program = ::fork();
  if (program == 0) {
    std::freopen("/dev/null", "w", stderr);
    std::signal(SIGTERM, SIG_DFL);
    Pipeline pipeline{"numbered"};
    pipeline.source<Numbered>("numbered").to<Forget>("forget");
    const Settings kept = settings({"segment.path=" + file("memory")});
    Engine engine{pipeline, kept};
    bool asked = false;
    const auto replace_and_ask = [&] {
      if (asked || worker_of(engine, "forget/0").events_in == 0) return;
      std::filesystem::remove(file("memory"));
      std::ofstream{file("memory")} << "another";
      asked = ::raise(SIGTERM) == 0;
    };
    ::_exit(sluice::run(engine, {.assignments = {}, .profile = {}, .placement = false, .quiet = true}, kept,
                        replace_and_ask));
  }
  int status = 0;
  const bool ended = eventually([&] { return ::waitpid(program, &status, WNOHANG) == program; });
  if (!ended) ::kill(program, SIGKILL);
  EXPECT_TRUE(ended && WIFEXITED(status) && WEXITSTATUS(status) == kExitFailed);
}

}  // namespace
}  // namespace sluice::test
