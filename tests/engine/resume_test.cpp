// SPDX-License-Identifier: Apache-2.0
// Pipelines with a named segment: what a next start finds, what it refuses, and when the file goes.
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <optional>
#include <sys/wait.h>

#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class Resume : public WithProcesses {
 protected:
  Resume() {
    const fs::path parent = ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : fs::temp_directory_path();
    std::string name = (parent / "sluice-resume-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~Resume() override { clear_away(directory_); }

  fs::path segment() const { return directory_ / "segment"; }
  fs::path file(const std::string& name) const { return directory_ / name; }
  bool kept() const { return fs::exists(segment()); }

  Settings settings() const {
    Settings settings = test_settings();
    settings.set("state.bytes", "256KiB");
    settings.set("undo.bytes", "64KiB");
    settings.set("segment.path", segment().string());
    return settings;
  }
  Settings settings(std::string_view assignment) const {
    Settings changed = settings();
    changed.set_assignment(assignment);
    return changed;
  }

  // Leaves a pipeline behind that has been stopped in the midst of its work.
  void leave_behind(const Pipeline& pipeline) {
    Engine engine{pipeline, settings()};
    engine.start();
    std::ignore = engine.inlet<Item>("in").push({1, 0});
    engine.stop();
    ASSERT_TRUE(kept());
  }

  std::string bytes() const {
    std::ifstream file{segment(), std::ios::binary};
    return std::string{std::istreambuf_iterator<char>{file}, {}};
  }

  std::string refusal(const Pipeline& pipeline, const Settings& settings) {
    const std::string before = bytes();
    std::string text;
    Engine engine{pipeline, settings};
    try {
      engine.start();
      ADD_FAILURE() << "it was not refused";
    } catch (const Error& error) {
      text = error.what();
    }
    EXPECT_FALSE(engine.resumed());
    EXPECT_TRUE(bytes() == before) << "the file was changed";
    return text;
  }

  fs::path directory_;
};

std::vector<Counted> pull(Outlet<Counted>& out, std::size_t count) {
  std::vector<Counted> events;
  const auto until = std::chrono::steady_clock::now() + kDeadline;
  while (events.size() < count && std::chrono::steady_clock::now() < until) {
    out.wait(100ms);
    out.poll([&events](const Counted& event) { events.push_back(event); }, count - events.size());
  }
  out.ack();
  return events;
}

TEST_F(Resume, IsNotWhatAFirstStartDoesAndAFinishedPipelineLeavesNothing) {
  Engine engine{counting_pipeline(2), settings()};
  EXPECT_FALSE(kept());
  engine.start();
  EXPECT_FALSE(engine.resumed());
  EXPECT_TRUE(kept());
  std::ignore = engine.inlet<Item>("in").push({1, 0});
  auto out = engine.outlet<Counted>("out");
  EXPECT_EQ(pull(out, 1).size(), 1U);
  engine.wait();
  EXPECT_TRUE(fs::is_empty(directory_));
}

TEST_F(Resume, GoesOnAfterAStopWithPositionsAndStateAndLanesAsTheyWere) {
  {
    Engine engine{counting_pipeline(1), settings()};
    engine.start();
    auto in = engine.inlet<Item>("in");
    auto out = engine.outlet<Counted>("out");
    for (const std::uint32_t number : {0U, 1U, 2U, 3U, 4U})
      std::ignore = in.push({7, number});
    EXPECT_EQ(pull(out, 2).size(), 2U);
    EXPECT_EQ(in.position(), 5U);
    EXPECT_EQ(out.position(), 2U);
    engine.stop();
  }
  ASSERT_TRUE(kept()) << "a stop keeps what was done";
  Engine engine{counting_pipeline(1), settings()};
  engine.start();
  EXPECT_TRUE(engine.resumed());
  auto in = engine.inlet<Item>("in");
  auto out = engine.outlet<Counted>("out");
  EXPECT_EQ(in.position(), 5U);
  EXPECT_FALSE(in.closed());
  EXPECT_EQ(out.position(), 2U);
  std::ignore = in.push({7, 5});
  EXPECT_THAT(pull(out, 4), ElementsAre(Counted{{7, 2}, 0, 2}, Counted{{7, 3}, 0, 3}, Counted{{7, 4}, 0, 4},
                                        Counted{{7, 5}, 0, 5}));
  EXPECT_EQ(worker_of(engine, "count/0").incarnation, 2U) << "its incarnations are counted on";
  engine.wait();
  EXPECT_FALSE(kept());
}

TEST_F(Resume, KeepsAnInletClosedThatWasClosed) {
  {
    Engine engine{counting_pipeline(1), settings()};
    engine.start();
    auto in = engine.inlet<Item>("in");
    std::ignore = in.push({1, 0});
    in.close();
    EXPECT_TRUE(in.closed());
    engine.stop();
  }
  Engine engine{counting_pipeline(1), settings()};
  engine.start();
  auto in = engine.inlet<Item>("in");
  EXPECT_TRUE(in.closed());
  EXPECT_EQ(in.push({1, 1}), PushResult::ended);
  EXPECT_EQ(in.position(), 1U);
  auto out = engine.outlet<Counted>("out");
  EXPECT_EQ(pull(out, 1).size(), 1U);
  EXPECT_TRUE(eventually([&] { return out.ended(); }));
  engine.wait();
}

TEST_F(Resume, StillHasWhatAFinishedPipelineLeftInItsOutlets) {
  {
    Engine engine{counting_pipeline(1), settings()};
    engine.start();
    std::ignore = engine.inlet<Item>("in").push({1, 0});
    engine.wait();
    EXPECT_TRUE(engine.over());
  }
  ASSERT_TRUE(kept()) << "an event has not been pulled";
  {
    Engine engine{counting_pipeline(1), settings()};
    engine.start();
    EXPECT_TRUE(engine.resumed());
    auto out = engine.outlet<Counted>("out");
    EXPECT_THAT(pull(out, 1), ElementsAre(Counted{{1, 0}, 0, 0}));
    EXPECT_TRUE(eventually([&] { return out.ended(); }));
    engine.wait();
  }
  EXPECT_FALSE(kept());
}

TEST_F(Resume, ComesToTheEndThatADrainHasAskedFor) {
  // A source that never ends by itself, before a stage that takes its time.
  Pipeline pipeline{"endless"};
  pipeline.source<Numbers>("numbers", std::uint32_t{1} << 31).to<Sum>("sum").outlet("out");
  {
    Engine engine{pipeline, settings("lane.slots=2")};
    engine.start();
    EXPECT_TRUE(eventually([&] { return worker_of(engine, "sum/0").events_in > 0; }));
    engine.begin_drain();
    engine.stop();
  }
  ASSERT_TRUE(kept());
  Engine engine{pipeline, settings("lane.slots=2")};
  engine.start();
  auto out = engine.outlet<std::uint64_t>("out");
  EXPECT_TRUE(eventually([&] {
    out.poll([](std::uint64_t) {});
    return out.ended();
  })) << "the sources must not go on for ever";
  engine.wait();
}

struct FailWhileThereIs {
  explicit FailWhileThereIs(const fs::path& path) : path_{path} {}
  void operator()(const Item& item, Output<Item>& out) const {
    if (item.number == 1 && fs::exists(path_)) throw Error{{"handle", "item 1", "there is an obstacle", ""}};
    out.push(item);
  }
  fs::path path_;
};

TEST_F(Resume, GoesOnAfterAFailureOnceItsCauseIsGone) {
  Pipeline pipeline{"failing"};
  pipeline.inlet<Item>("in").to<FailWhileThereIs>("fail", file("obstacle")).outlet("out");
  std::ofstream{file("obstacle")} << "x";
  {
    Engine engine{pipeline, settings()};
    engine.start();
    auto in = engine.inlet<Item>("in");
    std::ignore = in.push({0, 0});
    std::ignore = in.push({0, 1});
    try {
      engine.wait();
      ADD_FAILURE() << "it did not fail";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), HasSubstr("there is an obstacle"));
    }
  }
  ASSERT_TRUE(kept());
  fs::remove(file("obstacle"));
  Engine engine{pipeline, settings()};
  engine.start();
  EXPECT_TRUE(engine.resumed());
  Collector<Item> out{engine, "out"};
  engine.wait();
  EXPECT_THAT(out.all(), ElementsAre(Item{0, 0}, Item{0, 1}));
}

struct AbortOnFive {
  void operator()(const Item& item, Output<Item>& out) const {
    if (item.number == 5) std::abort();
    out.push(item);
  }
};

TEST_F(Resume, RemembersHowOftenAnEventHasKilledItsWorker) {
  Pipeline pipeline{"poisoned"};
  pipeline.inlet<Item>("in").to<AbortOnFive>("abort").outlet("out");
  {
    Engine engine{pipeline, settings("poison.attempts=1000")};
    engine.start();
    auto in = engine.inlet<Item>("in");
    for (std::uint32_t number = 0; number < 10; ++number)
      std::ignore = in.push({0, number});
    EXPECT_TRUE(eventually([&] { return worker_of(engine, "abort/0").restarts >= 3; }));
    engine.stop();
  }
  ASSERT_TRUE(kept());
  std::uint32_t restarts = 0;
  {
    Engine engine{pipeline, settings("poison.attempts=3")};
    engine.start();
    restarts = worker_of(engine, "abort/0").restarts;
    Collector<Item> out{engine, "out"};
    engine.wait();
    EXPECT_EQ(worker_of(engine, "abort/0").restarts, restarts) << "it has had its attempts";
    EXPECT_EQ(engine.stats().stages.front().dead_letters(), 1U);
    EXPECT_EQ(out.all().size(), 9U);
  }
  EXPECT_FALSE(kept());
}

// As large as an Item, and something else.
struct Other {
  std::uint32_t key;
  std::uint32_t weight;
};
struct CountOther {
  void operator()(const Other&, Output<Counted>&) const {}
};

struct CannotBeMade {
  CannotBeMade() { throw Error{{"make", "this handler", "it is a test", ""}}; }
  void operator()(const Item&, Output<Item>&) const {}
};

TEST_F(Resume, HasNothingToGoOnWithAfterAFirstStartThatDidNothing) {
  Pipeline pipeline{"stillborn"};
  pipeline.inlet<Item>("in").to<CannotBeMade>("made").outlet("out");
  {
    Engine engine{pipeline, settings()};
    EXPECT_THROW(engine.start(), Error);
  }
  EXPECT_FALSE(kept());
}

TEST_F(Resume, ComesAfterTheLastProcessOfAHostThatDiedAlone) {
  // The host is killed, not its pipeline; the next start waits until that is gone, too.
  const pid_t host = ::fork();
  if (host == 0) {
    Engine engine{counting_pipeline(2), settings()};
    engine.start();
    auto in = engine.inlet<Item>("in");
    for (std::uint32_t number = 0; number < 100; ++number)
      std::ignore = in.push({number % 5, number});
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(host, &status, 0), host);
  ASSERT_TRUE(WIFSIGNALED(status));
  Engine engine{counting_pipeline(2), settings()};
  engine.start();
  EXPECT_TRUE(engine.resumed());
  EXPECT_EQ(engine.inlet<Item>("in").position(), 100U);
  auto out = engine.outlet<Counted>("out");
  EXPECT_EQ(pull(out, 100).size(), 100U);
  engine.wait();
}

TEST_F(Resume, IsRefusedWhileThePipelineLives) {
  Engine first{counting_pipeline(1), settings()};
  first.start();
  Engine second{counting_pipeline(1), settings()};
  try {
    second.start();
    ADD_FAILURE() << "two pipelines in one segment";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), AllOf(HasSubstr("in use by the processes"), HasSubstr("sluice-master")));
  }
  std::ignore = first.inlet<Item>("in").push({1, 0});
  auto out = first.outlet<Counted>("out");
  EXPECT_EQ(pull(out, 1).size(), 1U) << "the first one has not noticed";
  first.wait();
}

TEST_F(Resume, OfAnotherShapeIsRefusedAndTheDifferenceNamed) {
  leave_behind(counting_pipeline(2));
  EXPECT_THAT(refusal(counting_pipeline(3), settings()),
              HasSubstr("stage count: 2 workers in the file, 3 workers now"));
  EXPECT_THAT(refusal(counting_pipeline(2), settings("stage.count.workers=1")),
              HasSubstr("stage count: 2 workers in the file, 1 worker now"));
  EXPECT_THAT(refusal(counting_pipeline(2), settings("stage.count.table.rows=999")),
              HasSubstr("it has 1000 rows, and 999 are asked for"));
  EXPECT_THAT(refusal(counting_pipeline(2), settings("lane.slots=2K")),
              HasSubstr("lane 0 from host to count/0: 32KiB in the file, 16KiB now"));
  EXPECT_THAT(refusal(counting_pipeline(2), settings("state.bytes=128KiB")),
              HasSubstr("region of count/0: "));
  EXPECT_THAT(refusal(diamond_pipeline(), settings()),
              HasSubstr("the pipeline's name: counting in the file, diamond now"));
  Pipeline in_turn{"counting"};
  in_turn.inlet<Item>("in").to<Count>("count", {.workers = 2}).outlet("out");
  EXPECT_THAT(refusal(in_turn, settings()), HasSubstr("by key (unsigned int by "));
  Pipeline other_events{"counting"};
  other_events.inlet<Other>("in").by(&Other::key).to<CountOther>("count", {.workers = 2}).outlet("out");
  EXPECT_THAT(refusal(other_events, settings()),
              HasSubstr("Other ({unsigned int x 2}, 8 bytes, aligned to 4), by key ("));
  Pipeline argued = counting_pipeline(2);
  argued.argument("input", "a\nb");
  EXPECT_THAT(refusal(argued, settings()), HasSubstr("argument input: not in the file, a\\nb now"));
  Engine same{counting_pipeline(2), settings()};
  same.start();
  EXPECT_TRUE(same.resumed()) << "the one it was made for goes on";
}

TEST_F(Resume, OfAnotherBootIsRefused) {
  leave_behind(counting_pipeline(1));
  std::string id;
  std::ifstream{"/proc/sys/kernel/random/boot_id"} >> id;
  std::fstream file{segment(), std::ios::binary | std::ios::in | std::ios::out};
  file.seekp(static_cast<std::streamoff>(bytes().find(id)));
  file << "another-boot";
  file.close();
  EXPECT_THAT(refusal(counting_pipeline(1), settings()),
              HasSubstr("in another boot of this machine (another-boot"));
}

TEST_F(Resume, ConcernsNoPipelineThatRunsInline) {
  InlineRun run{counting_pipeline(1), settings()};
  EXPECT_FALSE(kept());
}

}  // namespace
}  // namespace sluice::test
