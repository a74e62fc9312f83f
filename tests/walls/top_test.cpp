// SPDX-License-Identifier: Apache-2.0
// `sluice top`: what it shows, as text.
#include <cstdio>
#include <cstdlib>

#include "top/screen.hpp"
#include "watched.hpp"

namespace sluice::test {
namespace {

using command::top_screen;
using command::TopOrder;
using command::TopView;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Stats two_stages() {
  Stats stats;
  stats.pipeline = "made up";
  stats.state = "running";
  for (const char* name : {"read", "parse"}) {
    StageStats stage;
    stage.name = name;
    for (int number = 0; number < 2; ++number) {
      WorkerStats worker;
      worker.name = std::string{name} + "/" + std::to_string(number);
      worker.pid = 100 + number;
      worker.verdict = "busy";
      stage.workers.push_back(worker);
    }
    stats.stages.push_back(stage);
  }
  stats.stages[1].workers[1].restarts = 3;
  stats.stages[1].workers[1].last_death = "crashed";
  stats.stages[1].workers[1].last_signal = 11;
  return stats;
}

std::vector<std::string> names_shown(const TopView& view) {
  std::vector<std::string> names;
  const detail::Rates rates{std::chrono::seconds{1}};
  for (const command::TopLine& line : top_screen({}, two_stages(), rates, view, std::chrono::seconds{1}).rows)
    names.push_back(line.text.substr(0, line.text.find(' ', line.text.find_first_not_of(' '))));
  return names;
}

TEST(TopScreen, HasWorkersBelowTheirStages) {
  EXPECT_THAT(names_shown({}),
              ElementsAre("read", "  read/0", "  read/1", "parse", "  parse/0", "  parse/1"));
  EXPECT_THAT(names_shown({.workers = false}), ElementsAre("read", "parse"));
}

TEST(TopScreen, IsSortedAndFiltered) {
  EXPECT_THAT(names_shown({.order = TopOrder::restarts}),
              ElementsAre("parse", "  parse/1", "  parse/0", "read", "  read/0", "  read/1"));
  EXPECT_THAT(names_shown({.filter = "e/1"}), ElementsAre("parse", "  parse/1"));
  EXPECT_THAT(names_shown({.filter = "nothing"}), ElementsAre());
}

TEST(TopScreen, SaysWhatAWorkerDiedOfAndFitsItsTerminalOtherwise) {
  const detail::Rates rates{std::chrono::seconds{1}};
  for (const command::TopLine& line : top_screen({}, two_stages(), rates, {}, std::chrono::seconds{1}).rows) {
    if (line.text.find("parse/1") != std::string::npos) {
      EXPECT_THAT(line.text, HasSubstr("last death: crashed, signal 11"));
    } else {
      EXPECT_LE(line.text.size(), static_cast<std::size_t>(command::kTopLeastColumns)) << line.text;
    }
  }
}

class Top : public WithSocket {};

TEST_F(Top, OnceIsPlainTextAndTellsWhoDied) {
  const Watched run{settings()};
  ::kill(run.engine.stats().stages[0].workers[1].pid, SIGKILL);
  ASSERT_TRUE(eventually([&] { return run.engine.stats().stages[0].workers[1].restarts == 1; }));
  FILE* pipe = ::popen(("'" SLUICE_PROGRAM "' top '" + socket_ + "' --every 0.2 2>&1").c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string text;
  char piece[4096];
  for (std::size_t got = 0; (got = std::fread(piece, 1, sizeof(piece), pipe)) > 0;)
    text.append(piece, got);
  EXPECT_EQ(::pclose(pipe), 0);
  EXPECT_THAT(text, AllOf(StartsWith("counting: running for 0:"), HasSubstr("\nstage / worker"),
                          HasSubstr("\ncount "), HasSubstr("\n  count/0 "),
                          HasSubstr("last death: killed, signal 9"), Not(HasSubstr("\x1b"))));
}

}  // namespace
}  // namespace sluice::test
