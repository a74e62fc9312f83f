// SPDX-License-Identifier: Apache-2.0
// The commit: everything that moves moves together, and a region is finished, undone or refused.
//
// What a death at each instruction leaves is the matter of commit_crash_test.cpp; here stand the steps.
#include <array>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <sluice/ipc/commit.hpp>

#include "lane_fixture.hpp"

namespace sluice::ipc::test {
namespace {

struct Committed {
  void change(std::size_t at, std::string_view text) {
    ASSERT_TRUE(log.note(state.data() + at, text.size()));
    std::memcpy(state.data() + at, text.data(), text.size());
  }
  std::string_view text(std::size_t at, std::size_t bytes) const {
    return {reinterpret_cast<const char*>(state.data()) + at, bytes};
  }
  // As a death right after step 2 leaves it: committed, and no cursor stored yet.
  void die_committing(std::uint64_t word, std::uint64_t value) {
    record[0] = {word, value};
    header.count = 1;
    header.committed = header.committed + 1;
  }
  bool recover() {
    UndoLog log_of_the_next{undo, entries, state};
    return Commit{header, record, cursors, log_of_the_next}.recover();
  }

  CommitHeader header{};
  UndoHeader undo{};
  std::vector<RedoEntry> record{4};
  std::vector<std::atomic<std::uint64_t>> cursors = std::vector<std::atomic<std::uint64_t>>(8);
  std::vector<std::byte> entries{256};
  std::vector<std::byte> state{64};
  UndoLog log{undo, entries, state};
  Commit commit{header, record, cursors, log};
};

// The first commit, of the cursors 1 and 7.
void expect_both_moved(const Committed& region) {
  EXPECT_EQ(region.cursors[1], 11U);
  EXPECT_EQ(region.cursors[7], 77U);
  EXPECT_EQ(region.commit.committed(), 1U);
  EXPECT_EQ(region.header.applied, 1U);
  EXPECT_EQ(region.log.tail(), 0U);
}

TEST(Commit, MovesEveryCursorAndKeepsTheState) {
  Committed region;
  region.change(0, "kept");
  region.commit.move(1, 11);
  region.commit.move(7, 77);
  region.commit.commit();
  expect_both_moved(region);
  ASSERT_TRUE(region.recover());
  EXPECT_EQ(region.text(0, 4), "kept");
}

TEST(Commit, OfWhatIsInHandDoesTheSame) {
  Committed region;
  region.change(0, "kept");
  region.commit.commit_all(RedoEntry{1, 11}, RedoEntry{7, 77});
  expect_both_moved(region);
  EXPECT_EQ(region.header.count, 2U);
  region.cursors[7] = 0;
  region.header.applied = 0;
  ASSERT_TRUE(region.recover());
  EXPECT_EQ(region.cursors[7], 77U) << "the record says it, too";
  EXPECT_EQ(region.text(0, 4), "kept");
}

TEST(Commit, OfWhatIsInHandEndsOneInTheMidstOfAnEvent) {
  Committed region;
  region.change(0, "kept");
  const std::uint64_t boundary = region.log.begin_event();
  region.change(8, "goes on");
  region.commit.move(1, 11);
  region.commit.commit(boundary);
  region.commit.commit_all(RedoEntry{1, 12});
  EXPECT_EQ(region.log.base(), 0U);
  EXPECT_EQ(region.log.tail(), 0U);
  ASSERT_TRUE(region.recover());
  EXPECT_EQ(region.cursors[1], 12U);
  EXPECT_EQ(region.text(8, 7), "goes on");
}

TEST(Commit, MovesNothingBeforeItHappens) {
  Committed region;
  region.change(0, "lost");
  region.commit.move(1, 11);
  EXPECT_EQ(region.cursors[1], 0U);
  ASSERT_TRUE(region.recover());
  EXPECT_EQ(region.cursors[1], 0U) << "a record without its number means nothing";
  EXPECT_EQ(region.text(0, 1), std::string_view("\0", 1));
}

TEST(Commit, ForgetsTheCursorsOfTheOneBefore) {
  Committed region;
  region.commit.move(1, 11);
  region.commit.commit();
  region.cursors[1] = 0;
  region.commit.move(2, 22);
  region.commit.commit();
  EXPECT_EQ(region.cursors[1], 0U);
  EXPECT_EQ(region.cursors[2], 22U);
}

TEST(Commit, MayMoveNothingAtAll) {
  Committed region;
  region.change(0, "kept");
  region.commit.commit();
  ASSERT_TRUE(region.recover());
  EXPECT_EQ(region.text(0, 4), "kept");
}

TEST(Commit, InTheMidstOfAnEventKeepsWhatCameBeforeIt) {
  Committed region;
  region.change(0, "before");
  const std::uint64_t boundary = region.log.begin_event();
  region.change(10, "half");
  region.commit.move(1, 1);
  region.commit.commit(boundary);
  ASSERT_TRUE(region.recover());
  EXPECT_EQ(region.cursors[1], 1U);
  EXPECT_EQ(region.text(0, 6), "before");
  EXPECT_EQ(region.text(10, 1), std::string_view("\0", 1)) << "the event itself has not happened";
}

TEST(Commit, AfterOneInTheMidstOfAnEventKeepsTheWholeEvent) {
  Committed region;
  region.change(0, "before");
  const std::uint64_t boundary = region.log.begin_event();
  region.change(10, "half");
  region.commit.commit(boundary);
  EXPECT_EQ(region.log.base(), boundary);
  region.change(20, "half");
  region.commit.commit();
  EXPECT_EQ(region.log.base(), 0U);
  EXPECT_EQ(region.log.tail(), 0U) << "the log is empty again";
  ASSERT_TRUE(region.recover());
  EXPECT_EQ(region.text(0, 6), "before");
  EXPECT_EQ(region.text(10, 4), "half");
  EXPECT_EQ(region.text(20, 4), "half");
}

TEST(Commit, InTheMidstOfAnEventCanBeFollowedByTheEventsEnd) {
  Committed region;
  region.change(0, "before");
  const std::uint64_t boundary = region.log.begin_event();
  region.change(10, "half");
  region.commit.commit(boundary);
  ASSERT_TRUE(region.log.roll_back(region.log.base())) << "the event is given up";
  region.commit.commit();
  EXPECT_EQ(region.log.base(), 0U);
  EXPECT_EQ(region.text(0, 6), "before");
  EXPECT_EQ(region.text(10, 1), std::string_view("\0", 1));
}

TEST(Recovery, OfAFreshRegionChangesNothing) {
  Committed region;
  EXPECT_TRUE(region.recover());
  EXPECT_EQ(region.commit.committed(), 0U);
}

TEST(Recovery, FinishesACommitThatHadHappened) {
  Committed region;
  region.change(0, "kept");
  region.die_committing(3, 33);
  ASSERT_TRUE(region.recover());
  EXPECT_EQ(region.cursors[3], 33U);
  EXPECT_EQ(region.header.applied, 1U);
  EXPECT_EQ(region.text(0, 4), "kept");
}

TEST(Recovery, CanBeRepeated) {
  Committed region;
  region.die_committing(3, 33);
  region.change(0, "kept");
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(region.recover());
    EXPECT_EQ(region.cursors[3], 33U);
    EXPECT_EQ(region.text(0, 4), "kept");
    EXPECT_EQ(region.header.committed, 1U);
  }
}

TEST(Recovery, RefusesCountsThatAreNotOneApart) {
  for (const std::uint64_t applied : {std::uint64_t{0}, std::uint64_t{6}, ~std::uint64_t{0}}) {
    Committed region;
    region.header.committed = 5;
    region.header.applied = applied;
    EXPECT_FALSE(region.recover()) << applied;
  }
}

TEST(Recovery, RefusesARecordThatCannotBe) {
  const auto refuses = [](auto&& spoil) {
    Committed region;
    region.change(0, "text");
    region.die_committing(3, 33);
    spoil(region);
    const bool refused = !region.recover();
    EXPECT_EQ(region.cursors[3], 0U) << "nothing is stored from a record that is not sound";
    return refused;
  };
  EXPECT_TRUE(refuses([](Committed& region) { region.record[0].word = 8; })) << "a cursor that is not there";
  EXPECT_TRUE(refuses([](Committed& region) { region.record[0].word = ~std::uint64_t{0}; }));
  EXPECT_TRUE(refuses([](Committed& region) { region.header.count = 5; })) << "longer than the record";
  EXPECT_TRUE(refuses([](Committed& region) { region.header.undo_tail = 257; })) << "beyond the undo log";
  EXPECT_TRUE(refuses([](Committed& region) { region.header.undo_base = 1; })) << "a base above its tail";
}

TEST(Recovery, RefusesAnUndoLogThatCannotBe) {
  Committed region;
  region.undo.tail = 257;
  EXPECT_FALSE(region.recover());
}

TEST(Recovery, NeverStoresOutsideTheCursorsWhicheverBitsFlip) {
  const Seed seed;
  std::mt19937_64 random = seed.engine();
  for (int round = 0; round < 20'000; ++round) {
    Committed region;
    region.change(0, "some");
    region.die_committing(3, 33);
    const auto flip = [&random](void* word) {
      std::uint64_t value = 0;
      std::memcpy(&value, word, sizeof(value));
      value ^= std::uint64_t{1} << below(random, 64);
      std::memcpy(word, &value, sizeof(value));
    };
    for (void* word :
         {static_cast<void*>(&region.header.count), static_cast<void*>(&region.header.undo_tail),
          static_cast<void*>(&region.header.undo_base), static_cast<void*>(&region.record[0].word),
          static_cast<void*>(&region.entries[8]), static_cast<void*>(&region.entries[16])}) {
      if (below(random, 3) == 0) flip(word);
    }
    static_cast<void>(region.recover());  // AddressSanitizer sees what leaves the vectors.
  }
}

}  // namespace
}  // namespace sluice::ipc::test
