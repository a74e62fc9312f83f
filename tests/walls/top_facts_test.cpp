// SPDX-License-Identifier: Apache-2.0
// `sluice top`: what a pipeline is a part of, how far it is behind, and its checkpoints, above the table.
#include <chrono>
#include <string>

#include <gmock/gmock.h>

#include <sluice/detail/columns.hpp>

#include "observer/stage_table.hpp"
#include "top/screen.hpp"

namespace sluice::test {
namespace {

using command::TopLine;
using namespace std::chrono_literals;
using testing::HasSubstr;
using testing::Not;

Stats part_of_a_cluster() {
  Stats stats;
  stats.pipeline = "orders-3";
  stats.state = "running";
  stats.facts = {{"cluster", "orders"}, {"partition", "3"}, {"epoch", "7"}, {"owner", "alpha\x1b[2J"}};
  stats.checkpoints.wanted = true;
  stats.checkpoints.written = 12;
  stats.checkpoints.at = std::chrono::system_clock::now();
  stats.checkpoints.pause = 310us;
  stats.checkpoints.longest_pause = 1200us;
  return stats;
}

std::string words_of(const std::vector<TopLine>& lines) {
  std::string words;
  for (const TopLine& line : lines)
    words.append(words.empty() ? "" : " ").append(line.text.substr(line.text.find_first_not_of(' ')));
  return words;
}

std::vector<TopLine> head_of(const Stats& stats, std::size_t columns) {
  const detail::Rates rates{1s};
  const command::Happenings happenings;
  return command::top_screen({{}, stats, rates, happenings, {}, 60s}, {.columns = columns}).head;
}

TEST(TopFacts, AreSaidAsStatsSaysThemAndNotWithoutAny) {
  const std::string head = words_of(head_of(part_of_a_cluster(), 0));
  EXPECT_THAT(head, HasSubstr("cluster orders, partition 3, epoch 7, owner alpha\\x1b[2J"));
  EXPECT_THAT(head, HasSubstr("checkpoints: 12, last "));
  EXPECT_THAT(head, HasSubstr("pause 310 us, at most 1.2 ms"));
  EXPECT_THAT(words_of(head_of(Stats{}, 0)), Not(HasSubstr("checkpoints")));
}

TEST(TopFacts, SayHowFarSourcesAreBehind) {
  Stats stats = part_of_a_cluster();
  stats.stages.emplace_back().workers.emplace_back().lag =
      LagStats{.events = 250, .bytes = 4'000, .told = std::chrono::system_clock::now()};
  EXPECT_THAT(words_of(head_of(stats, 0)), HasSubstr(to_text(*stats.lag())));
  EXPECT_THAT(to_text(*stats.lag()), HasSubstr("250"));
}

TEST(TopFacts, TellWhyThereIsNoCheckpointOnALineOfItsOwnThatIsAnAlarm) {
  Stats stats = part_of_a_cluster();
  stats.checkpoints.failures = 2;
  stats.checkpoints.failing_for = 3s;
  stats.checkpoints.failure = "no space left on device";
  bool told = false;
  for (const TopLine& line : head_of(stats, 80)) {
    EXPECT_EQ(line.text.find('\n'), std::string::npos);
    if (line.text.find("no space left on device") == std::string::npos) continue;
    told = true;
    EXPECT_EQ(line.style, command::TopStyle::alarm);
  }
  EXPECT_TRUE(told);
}

TEST(TopFacts, FoldOnFewColumnsAndLoseNothing) {
  const Stats stats = part_of_a_cluster();
  for (std::size_t columns = 40; columns <= 80; ++columns) {
    const std::vector<TopLine> head = head_of(stats, columns);
    for (const TopLine& line : head) {
      const bool of_them =
          line.text.find("cluster") != std::string::npos || line.text.find("owner") != std::string::npos ||
          line.text.find("checkpoints") != std::string::npos || line.text.find("pause") != std::string::npos;
      if (of_them) {
        EXPECT_LE(detail::columns_of(line.text), columns) << line.text;
      }
    }
    EXPECT_THAT(words_of(head), HasSubstr("cluster orders, partition 3, epoch 7, owner alpha\\x1b[2J"));
    EXPECT_THAT(words_of(head), HasSubstr("pause 310 us, at most 1.2 ms"));
  }
}

// "parked for 0:02:05" is what has been parked for two minutes.
TEST(LifeText, TellsHowLongItRunsOrAfterWhatTimeItWasOver) {
  Stats stats;
  stats.pipeline = "market";
  stats.version = "0.1.0";
  stats.started = std::chrono::seconds{100};
  const std::chrono::seconds now{225};
  for (const char* state : {"starting", "running"}) {
    stats.state = state;
    EXPECT_EQ(detail::life_text(stats, now), "market: " + stats.state + " for 0:02:05, Sluice 0.1.0");
  }
  for (const char* state : {"finished", "stopped", "failed", "parked"}) {
    stats.state = state;
    EXPECT_EQ(detail::life_text(stats, now), "market: " + stats.state + " after 0:02:05, Sluice 0.1.0");
  }
}

}  // namespace
}  // namespace sluice::test
