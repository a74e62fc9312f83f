// SPDX-License-Identifier: Apache-2.0
// Dead letters that are retried by a life of which everything is lost: its processes, and perhaps its memory. Whatever the next
// life goes on with, each letter has had its effect once.

#include <algorithm>
#include <fstream>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <sluice/dead_letter.hpp>

#include "errors.hpp"
#include "pipelines.hpp"
#include "processes.hpp"
#include "support/clear_away.hpp"
#include "total_loss.hpp"

namespace sluice::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Counts each number, and says at its end how often it has had it; dies of what it is told to die of.
class Tally {
 public:
  Tally(Worker& worker, std::set<std::uint32_t> deadly)
      : times_{worker.table<std::uint32_t, std::uint32_t>("times", 100)}, deadly_{std::move(deadly)} {}
  void operator()(const Item& item, Output<Item>&) {
    if (deadly_.contains(item.number)) std::abort();
    ++times_[item.number];
  }
  void finish(Output<Item>& out) {
    times_.for_each([&](std::uint32_t number, std::uint32_t times) { out.push({times, number}); });
  }

 private:
  Table<std::uint32_t, std::uint32_t> times_;
  std::set<std::uint32_t> deadly_;
};

class LostRetry : public WithProcesses {
 protected:
  LostRetry() {
    std::string name = (fs::temp_directory_path() / "sluice-lost-retry-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
    run_processes<Item>(tally({3, 7}), items(10, 1), settings({"report.path=" + file("first")}));
  }
  ~LostRetry() override { clear_away(directory_); }

  static Pipeline tally(std::set<std::uint32_t> deadly = {}) {
    Pipeline pipeline{"tally"};
    pipeline.inlet<Item>("in").to<Tally>("tally", {}, std::move(deadly)).outlet("out");
    return pipeline;
  }
  std::string file(const std::string& name) const { return (directory_ / name).string(); }
  static Settings settings(const std::vector<std::string>& assignments) {
    Settings settings = test_settings();
    for (const std::string& assignment : assignments)
      settings.set_assignment(assignment);
    return settings;
  }
  Settings kept(std::vector<std::string> more = {}) const {
    for (const std::string& always :
         {"segment.path=" + file("segment"), "checkpoint.path=" + file("checkpoints"),
          "report.path=" + file("second"), std::string{"checkpoint.sync=no"}, std::string{"log.level=off"}})
      more.push_back(always);
    return settings(more);
  }
  Settings retrying(const std::string& every) const {
    return kept({"checkpoint.every=" + every, "poison.retry=" + file("first")});
  }

  std::vector<DeadLetter> letters() const { return find_dead_letters(directory_ / "first"); }
  long marked() const {
    const std::vector<DeadLetter> all = letters();
    return std::count_if(all.begin(), all.end(), [](const auto& letter) { return letter.retried_by != 0; });
  }

  // A life without letters, of which there is a checkpoint.
  void begin() const {
    Engine engine{tally(), kept()};
    engine.start();
    auto in = engine.inlet<Item>("in");
    ASSERT_EQ(in.push({0, 1}), PushResult::accepted);
    ASSERT_TRUE(eventually([&] { return worker_of(engine, "tally/0").events_in == 1; }));
    engine.park();
  }
  // One that has retried both, which makes `events`, and dies with all of its processes once `seen`.
  void lose_a_retry(const std::string& every, const std::function<bool()>& seen,
                    std::uint64_t events = 3) const {
    total_loss::Host host{{}, [&] {
                            Engine engine{tally(), retrying(every)};
                            engine.start();
                            if (!eventually([&] { return worker_of(engine, "tally/0").events_in == events; }))
                              return;
                            std::ofstream{file("retried")} << "retried";
                            ::pause();
                          }};
    ASSERT_TRUE(eventually([&] { return fs::exists(file("retried")) && seen(); }));
    host.kill(true);
    ASSERT_TRUE(host.gone());
    fs::remove(file("retried"));
  }
  std::vector<Item> end() const {
    std::vector<Item> out = run_processes<Item>(tally(), std::vector<Item>{}, retrying("24h"));
    std::sort(out.begin(), out.end());
    return out;
  }
  void expect_each_once() const {
    EXPECT_THAT(end(), ElementsAre(Item{1, 1}, Item{1, 3}, Item{1, 7}));
    EXPECT_EQ(marked(), 2);
  }

  fs::path directory_;
};

TEST_F(LostRetry, BehindTheLastCheckpointIsDoneAgain) {
  begin();
  lose_a_retry("24h", [] { return true; });
  EXPECT_EQ(marked(), 0);
  fs::remove(file("segment"));
  expect_each_once();
}

TEST_F(LostRetry, OfWhichNothingIsLeftIsDoneAgain) {
  lose_a_retry(
      "24h", [] { return true; }, 2);
  fs::remove(file("segment"));
  clear_away(file("checkpoints"));
  EXPECT_THAT(end(), ElementsAre(Item{1, 3}, Item{1, 7}));
}

TEST_F(LostRetry, ThatACheckpointHoldsIsNotDoneAgain) {
  begin();
  lose_a_retry("5ms", [this] { return marked() == 2; });
  fs::remove(file("segment"));
  expect_each_once();
}

// It dies between the checkpoint and the marks.
TEST_F(LostRetry, ThatACheckpointHoldsAndNoMarkTellsOfIsNotDoneAgain) {
  begin();
  lose_a_retry("5ms", [this] { return marked() == 2; });
  for (const DeadLetter& letter : letters())
    ASSERT_TRUE(mark_retried(letter, 0));
  fs::remove(file("segment"));
  expect_each_once();
}

// Its last checkpoint holds it, and nobody is left to mark the letters. The next start finds them by another path.
TEST_F(LostRetry, ThatWasParkedIsNotDoneAgainByWayOfAnotherPath) {
  const std::string dead = letters().front().file.string();
  const std::string other = file("elsewhere");
  fs::create_symlink(file("first"), other);
  const std::vector<std::pair<std::string, std::string>> ways{{file("first"), dead},
                                                              {dead, file("first")},
                                                              {file("first"), file("first") + "/."},
                                                              {other, file("first")}};
  for (const auto& [before, then] : ways) {
    const auto from = [this](const std::string& path) {
      return settings({"checkpoint.path=" + file("checkpoints"), "checkpoint.every=24h", "checkpoint.sync=no",
                       "report.path=" + file("second"), "log.level=off", "poison.retry=" + path});
    };
    {
      Engine engine{tally(), from(before)};
      engine.start();
      ASSERT_TRUE(eventually([&] { return worker_of(engine, "tally/0").events_in == 2; }));
      engine.park();
    }
    EXPECT_EQ(marked(), 0);
    std::vector<Item> out = run_processes<Item>(tally(), std::vector<Item>{}, from(then));
    std::sort(out.begin(), out.end());
    EXPECT_THAT(out, ElementsAre(Item{1, 3}, Item{1, 7})) << before << " and " << then;
    EXPECT_EQ(marked(), 2);
    for (const DeadLetter& letter : letters())
      ASSERT_TRUE(mark_retried(letter, 0));
  }
}

// What is in the file of the memory may be lost with the machine: no letter is marked for that.
TEST_F(LostRetry, ThatNoCheckpointHoldsIsGoneOnWithByItsOwnPathAlone) {
  begin();
  lose_a_retry("24h", [] { return true; });
  const std::string dead = letters().front().file.string();
  EXPECT_THAT(error_of([&] {
                Engine engine{tally(), kept({"checkpoint.every=24h", "poison.retry=" + dead})};
                engine.start();
              }),
              AllOf(HasSubstr("no checkpoint may hold it"), HasSubstr("poison.retry=" + file("first"))));
  EXPECT_EQ(marked(), 0);
  expect_each_once();
}

TEST_F(LostRetry, WhoseMemoryIsLeftIsNotDoneAgain) {
  begin();
  lose_a_retry("24h", [] { return true; });
  EXPECT_EQ(marked(), 0);
  expect_each_once();
}

// The retry has failed for one of them, and is lost, but for the letter that it has become. The pipeline comes to its end without a
// retry, and a run that begins anew is told to retry what is there.
TEST_F(LostRetry, ThatHasFailedIsOneOfTheSameLetter) {
  const auto in_one_place = [this](std::vector<std::string> more = {}) {
    Settings settings = kept(std::move(more));
    settings.set_assignment("report.path=" + file("first"));
    return settings;
  };
  {
    Engine engine{tally(), in_one_place()};
    engine.start();
    auto in = engine.inlet<Item>("in");
    ASSERT_EQ(in.push({0, 1}), PushResult::accepted);
    ASSERT_TRUE(eventually([&] { return worker_of(engine, "tally/0").events_in == 1; }));
    engine.park();
  }
  {
    total_loss::Host host{
        {}, [&] {
          Engine engine{tally({3}), in_one_place({"checkpoint.every=24h", "poison.retry=" + file("first")})};
          engine.start();
          ::pause();
        }};
    ASSERT_TRUE(eventually([this] { return letters().size() == 3; }));
    host.kill(true);
    ASSERT_TRUE(host.gone());
  }
  fs::remove(file("segment"));
  EXPECT_EQ(marked(), 0);
  EXPECT_THAT(run_processes<Item>(tally(), std::vector<Item>{}, in_one_place()), ElementsAre(Item{1, 1}));
  const Settings anew = settings({"report.path=" + file("first"), "poison.retry=" + file("first")});
  std::vector<Item> out = run_processes<Item>(tally(), std::vector<Item>{}, anew);
  std::sort(out.begin(), out.end());
  EXPECT_THAT(out, ElementsAre(Item{1, 3}, Item{1, 7}));
  EXPECT_EQ(marked(), 3);
  EXPECT_THAT(run_processes<Item>(tally(), std::vector<Item>{}, anew), IsEmpty());
}

// As in a container, where each life may have the pid of the one before.
TEST_F(LostRetry, OfAnEarlierLifeOfTheSamePidIsNoneOfTheLettersSince) {
  begin();
  {
    Engine engine{tally(), retrying("5ms")};
    engine.start();
    ASSERT_TRUE(eventually([&] { return marked() == 2; }));
    engine.park();
  }
  run_processes<Item>(tally({8}), items(10, 1), settings({"report.path=" + file("first")}));
  EXPECT_THAT(end(), ElementsAre(Item{1, 1}, Item{1, 3}, Item{1, 7}, Item{1, 8}));
  EXPECT_EQ(marked(), 3);
}

}  // namespace
}  // namespace sluice::test
