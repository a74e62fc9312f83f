// SPDX-License-Identifier: Apache-2.0
// Who gets which partition, by rules that every host follows by itself.
#include "assignment.hpp"

#include <random>

#include <gmock/gmock.h>

#include <sluice/partitioner.hpp>

#include "failing.hpp"

namespace sluice::test {
namespace {

using detail::coming_partitions;
using detail::copied_partitions;
using detail::enough_failures;
using detail::FailingEntry;
using detail::Hosts;
using detail::next_steps;
using detail::next_to_try;
using detail::NextStep;
using detail::PartitionEntry;
using detail::Partitions;
using testing::ElementsAre;
using testing::IsEmpty;

using State = PartitionEntry::State;
using Kind = NextStep::Kind;

PartitionEntry owned_by(const std::string& host) {
  return {.state = State::owned, .owner = host, .epoch = 1};
}

// What all hosts do, each by itself, until none of them has anything left to do; the number of turns.
int settle(Partitions& partitions, Hosts& hosts) {
  for (int turn = 0; turn < 200; ++turn) {
    bool idle = true;
    for (const auto& [host, leaving] : hosts) {
      for (const NextStep& step : next_steps(host, hosts, partitions)) {
        idle = false;
        PartitionEntry& entry = partitions[step.partition];
        if (step.kind == Kind::claim) {
          // Nobody takes what another host that lives has.
          EXPECT_FALSE(entry.state == State::owned && hosts.contains(entry.owner)) << step.partition;
          entry = taken_by(entry, host);
        } else {
          if (entry.wanted != step.to) entry.wanted.clear();
          EXPECT_EQ(entry.owner, host);
          entry.state = step.kind == Kind::give ? State::given : State::unowned;
          entry.owner = step.to;
        }
      }
    }
    if (idle) return turn;
  }
  return -1;
}

std::map<std::string, unsigned> loads_of(const Partitions& partitions) {
  std::map<std::string, unsigned> loads;
  for (const PartitionEntry& entry : partitions) {
    if (entry.state == State::owned) ++loads[entry.owner];
  }
  return loads;
}

TEST(Assignment, SharesWhatNobodyHas) {
  Hosts hosts{{"a", false}, {"b", false}, {"c", false}};
  Partitions partitions(8);
  EXPECT_GE(settle(partitions, hosts), 1);
  EXPECT_EQ(loads_of(partitions), (std::map<std::string, unsigned>{{"a", 3}, {"b", 3}, {"c", 2}}));
}

TEST(Assignment, OfADeadHostGoesToTheOthersAndNothingElseMoves) {
  Hosts hosts{{"a", false}, {"b", false}, {"c", false}};
  Partitions partitions(9);
  settle(partitions, hosts);
  const Partitions before = partitions;
  hosts.erase("b");
  EXPECT_GE(settle(partitions, hosts), 1);
  const auto loads = loads_of(partitions);
  EXPECT_EQ(loads.at("a") + loads.at("c"), 9U);
  EXPECT_LE(std::max(loads.at("a"), loads.at("c")), 5U);
  for (unsigned number = 0; number < 9; ++number) {
    if (before[number].owner != "b") {
      EXPECT_EQ(partitions[number], before[number]);
    }
  }
}

TEST(Assignment, AHostThatJoinsGetsItsShareByOneMoveAfterTheOther) {
  Hosts hosts{{"a", false}};
  Partitions partitions(6);
  settle(partitions, hosts);
  hosts["b"] = false;
  EXPECT_THAT(next_steps("a", hosts, partitions), ElementsAre(NextStep{Kind::give, 5, "b"}));
  EXPECT_THAT(next_steps("b", hosts, partitions), IsEmpty());
  EXPECT_GE(settle(partitions, hosts), 3);
  EXPECT_EQ(loads_of(partitions), (std::map<std::string, unsigned>{{"a", 3}, {"b", 3}}));
}

TEST(Assignment, OneThatLeavesIsNotTakenForDead) {
  Hosts hosts{{"a", false}, {"b", false}};
  Partitions partitions(4);
  settle(partitions, hosts);
  hosts["a"] = true;
  EXPECT_THAT(next_steps("b", hosts, partitions), IsEmpty()) << "it still runs them";
  EXPECT_EQ(next_steps("a", hosts, partitions).size(), 2U);
  settle(partitions, hosts);
  EXPECT_EQ(loads_of(partitions), (std::map<std::string, unsigned>{{"b", 4}}));
}

TEST(Assignment, TheLastOneThatLeavesReleasesAll) {
  Hosts hosts{{"a", false}};
  Partitions partitions(2);
  settle(partitions, hosts);
  hosts["a"] = true;
  settle(partitions, hosts);
  EXPECT_THAT(loads_of(partitions), IsEmpty());
}

TEST(Assignment, MovesWhereSomebodyWantsIt) {
  Hosts hosts{{"a", false}, {"b", false}};
  Partitions partitions{owned_by("a"), owned_by("b")};
  partitions[0].wanted = "b";
  EXPECT_THAT(next_steps("a", hosts, partitions), ElementsAre(NextStep{Kind::give, 0, "b"}));
  EXPECT_THAT(next_steps("b", hosts, partitions), IsEmpty());
  partitions[0] = {.state = State::given, .owner = "b", .epoch = 1};
  EXPECT_THAT(next_steps("a", hosts, partitions), IsEmpty());
  EXPECT_THAT(next_steps("b", hosts, partitions), ElementsAre(NextStep{Kind::claim, 0}));
  partitions[0] = owned_by("a");
  partitions[0].wanted = "nobody";
  EXPECT_THAT(next_steps("a", hosts, partitions), IsEmpty()) << "that host does not live";
}

TEST(Assignment, WhatWasGivenToAHostThatDiedGoesToAnother) {
  Hosts hosts{{"a", false}};
  Partitions partitions{{.state = State::given, .owner = "b", .epoch = 4}};
  EXPECT_THAT(next_steps("a", hosts, partitions), ElementsAre(NextStep{Kind::claim, 0}));
}

TEST(Assignment, FinishedStaysFinished) {
  Hosts hosts{{"a", false}};
  Partitions partitions{{.state = State::finished, .owner = "b", .epoch = 4}, owned_by("a")};
  EXPECT_THAT(next_steps("a", hosts, partitions), IsEmpty());
}

// Hosts come, go, die and leave at random: it always settles, evenly, with every partition owned by one that lives.
TEST(Assignment, SettlesWhateverHappens) {
  std::mt19937 random{std::random_device{}()};
  for (int round = 0; round < 300; ++round) {
    const auto seed = static_cast<unsigned>(random());
    SCOPED_TRACE(seed);
    std::mt19937 dice{seed};
    Partitions partitions(1 + dice() % 40);
    Hosts hosts;
    for (int change = 0; change < 6; ++change) {
      hosts["h" + std::to_string(dice() % 6)] = dice() % 5 == 0;
      if (dice() % 2 == 0 && hosts.size() > 1) hosts.erase(hosts.begin());
      if (dice() % 2 == 0) partitions[dice() % partitions.size()].wanted = "h" + std::to_string(dice() % 6);
      ASSERT_GE(settle(partitions, hosts), 0);
      // What is wanted stays where it is wanted; without that the shares are even.
      if (dice() % 2 == 0) {
        for (PartitionEntry& entry : partitions)
          entry.wanted.clear();
        ASSERT_GE(settle(partitions, hosts), 0);
      }
      const bool any_wanted = std::any_of(partitions.begin(), partitions.end(),
                                          [](const PartitionEntry& entry) { return !entry.wanted.empty(); });
      std::map<std::string, unsigned> loads = loads_of(partitions);
      unsigned staying = 0;
      unsigned owned = 0;
      unsigned most = 0;
      unsigned fewest = ~0U;
      for (const auto& [host, leaving] : hosts) {
        if (leaving) continue;
        ++staying;
        owned += loads[host];
        most = std::max(most, loads[host]);
        fewest = std::min(fewest, loads[host]);
      }
      if (staying == 0) continue;
      EXPECT_EQ(owned, partitions.size());
      EXPECT_TRUE(any_wanted || most - fewest <= 1U);
    }
  }
}

// Whoever dies or leaves: the one who takes over has followed what it takes.
TEST(Assignment, EachPartitionIsCopiedByTheOneWhoGetsItNext) {
  const Hosts hosts{{"a", false}, {"b", false}, {"c", false}, {"d", false}};
  Partitions partitions(10);
  Hosts settling = hosts;
  settle(partitions, settling);
  std::map<unsigned, std::string> copies;
  for (const auto& [host, leaving] : hosts) {
    for (const unsigned number : copied_partitions(host, hosts, partitions)) {
      EXPECT_NE(partitions[number].owner, host);
      EXPECT_TRUE(copies.try_emplace(number, host).second) << number << " is copied twice";
    }
  }
  EXPECT_EQ(copies.size(), 10U);
  for (const auto& [lost, leaving] : hosts) {
    for (const bool dies : {true, false}) {
      Hosts others = hosts;
      dies ? static_cast<void>(others.erase(lost)) : static_cast<void>(others[lost] = true);
      Partitions after = partitions;
      EXPECT_GE(settle(after, others), 1);
      for (unsigned number = 0; number < 10; ++number) {
        if (partitions[number].owner != lost) continue;
        EXPECT_EQ(after[number].owner, copies[number]) << number;
      }
    }
  }
}

TEST(Assignment, WhatIsAboutToMoveIsCopiedWhereItGoes) {
  const Hosts hosts{{"a", false}, {"b", false}, {"c", false}};
  Partitions partitions{owned_by("a"), owned_by("b"), owned_by("c")};
  partitions[0].wanted = "c";
  EXPECT_TRUE(copied_partitions("c", hosts, partitions).contains(0));
  // One that joins gets its share.
  Partitions all{owned_by("a"), owned_by("a")};
  EXPECT_TRUE(copied_partitions("b", {{"a", false}, {"b", false}}, all).contains(1));
  EXPECT_THAT(copied_partitions("b", {{"a", false}, {"b", true}}, all), IsEmpty());
  EXPECT_THAT(copied_partitions("a", {{"a", false}}, all), IsEmpty());
}

// What only a death would bring is on the disk and not in memory.
TEST(Assignment, WhatComesNowIsRestoredAhead) {
  const Hosts hosts{{"a", false}, {"b", false}, {"c", false}};
  Partitions partitions{owned_by("a"), owned_by("b"), owned_by("c")};
  for (const auto& [host, leaving] : hosts)
    EXPECT_THAT(coming_partitions(host, hosts, partitions), IsEmpty()) << host;
  partitions[0].wanted = "c";
  EXPECT_THAT(coming_partitions("c", hosts, partitions), ElementsAre(0U));
  partitions[0] = {.state = State::given, .owner = "c", .epoch = 1, .wanted = "c"};
  EXPECT_THAT(coming_partitions("c", hosts, partitions), ElementsAre(0U)) << "until it is started";
  partitions[0] = owned_by("a");
  const Hosts leaving{{"a", false}, {"b", true}, {"c", false}};
  EXPECT_EQ(coming_partitions("a", leaving, partitions).contains(1U),
            copied_partitions("a", leaving, partitions).contains(1U));
  EXPECT_NE(coming_partitions("a", leaving, partitions).contains(1U),
            coming_partitions("c", leaving, partitions).contains(1U));
}

TEST(Assignment, WhatFailsIsTriedByEachHostOnce) {
  const Hosts hosts{{"a", false}, {"b", false}, {"c", true}, {"d", false}};
  const Partitions partitions{owned_by("a"), owned_by("b"), owned_by("b"), owned_by("d")};
  FailingEntry failing{.since_ns = 7, .failures = 4};
  EXPECT_EQ(next_to_try("a", hosts, partitions, failing), "d") << "which has fewer";
  EXPECT_EQ(enough_failures("a", failing), detail::kFailuresOfAHost);
  failing.given_up = {"a", "d"};
  EXPECT_EQ(next_to_try("d", hosts, partitions, failing), "b");
  EXPECT_EQ(enough_failures("a", failing), 1U) << "it has it again, since others died";
  failing.given_up = {"a", "d", "b"};
  EXPECT_EQ(next_to_try("b", hosts, partitions, failing), "") << "it stays where it is";
  failing.text = "cannot do it: why, what to do";
  EXPECT_EQ(detail::parse_failing_entry(to_text(failing)), failing);
  EXPECT_EQ(detail::parse_failing_entry(to_text(FailingEntry{})), FailingEntry{});
  for (const char* text : {"", "2 1 1 - x", "1 x 1 - x", "1 1 1", "1 1 1 a.b x"})
    EXPECT_EQ(detail::parse_failing_entry(text), std::nullopt) << text;
}

TEST(Assignment, EntriesAreReadAsTheyWereWritten) {
  const PartitionEntry entry{.state = State::given, .owner = "host-1", .epoch = 12, .wanted = "b_2"};
  EXPECT_EQ(detail::parse_partition_entry(to_text(entry)), entry);
  EXPECT_EQ(detail::parse_partition_entry(to_text(PartitionEntry{})), PartitionEntry{});
  for (const char* text : {"", "1 owned a 1", "2 owned a 1 -", "1 lost a 1 -", "1 owned a.b 1 -",
                           "1 owned a x -", "1 owned a 1 - more"})
    EXPECT_EQ(detail::parse_partition_entry(text), std::nullopt) << text;
}

TEST(Assignment, NamesArePartsOfSubjects) {
  for (const char* name : {"a", "orders-2", "A_b", "0"})
    EXPECT_TRUE(detail::is_cluster_name(name)) << name;
  for (const char* name :
       {"", "-", "a.b", "a b", "a*", ">", "\xc3\xa9", "0123456789012345678901234567890123"})
    EXPECT_FALSE(detail::is_cluster_name(name)) << name;
}

// Written down once: who sent by it before must find the same today.
TEST(Partitioner, AnswersTheSameForGood) {
  const Partitioner sixteen{16};
  std::vector<unsigned> found;
  for (std::uint64_t key = 0; key < 8; ++key)
    found.push_back(sixteen.of(key));
  found.push_back(sixteen.of("XBTUSD"));
  EXPECT_THAT(found, ElementsAre(9, 14, 15, 5, 14, 6, 1, 1, 4));
  EXPECT_THROW(Partitioner{0}, std::invalid_argument);
}

TEST(Partitioner, GivesEachItsShare) {
  constexpr unsigned kPartitions = 7;
  const Partitioner partitioner{kPartitions};
  std::vector<unsigned> counts(kPartitions);
  for (unsigned key = 0; key < 70'000; ++key)
    ++counts.at(partitioner.of(key));
  for (const unsigned count : counts)
    EXPECT_NEAR(count, 10'000, 500);
}

}  // namespace
}  // namespace sluice::test
