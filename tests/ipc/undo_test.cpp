// SPDX-License-Identifier: Apache-2.0
// The undo log: what was noted comes back, newest first, and a log that cannot be is refused.
#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

#include <sluice/ipc/commit.hpp>
#include <sluice/ipc/undo.hpp>

#include "lane_fixture.hpp"

namespace sluice::ipc::test {
namespace {

constexpr std::uint64_t kMost = ~std::uint64_t{0};

struct Logged {
  bool note(std::size_t at, std::size_t bytes) { return log.note(state.data() + at, bytes); }
  void set(std::size_t at, std::string_view text) {
    std::memcpy(state.data() + at, text.data(), text.size());
  }
  void begin_event() { log.begin_event(log.event() + 1); }
  std::string_view text(std::size_t at, std::size_t bytes) const {
    return {reinterpret_cast<const char*>(state.data()) + at, bytes};
  }
  // The words of the newest entry's end: where it goes and how long it is.
  void spoil_newest(std::uint64_t offset, std::uint64_t bytes) {
    const std::array words{offset, bytes};
    std::memcpy(entries.data() + log.tail() - sizeof(words), words.data(), sizeof(words));
  }

  UndoHeader header{};
  std::vector<std::byte> entries{256};
  std::vector<std::byte> state{128};
  UndoLog log{header, entries, state};
};

TEST(UndoLog, BringsBackTheNotedBytes) {
  Logged logged;
  logged.set(10, "before");
  ASSERT_TRUE(logged.note(10, 6));
  logged.set(10, "after!");
  ASSERT_TRUE(logged.log.roll_back());
  EXPECT_EQ(logged.text(10, 6), "before");
  EXPECT_EQ(logged.log.tail(), 0U);
}

TEST(UndoLog, GoesBackNewestFirst) {
  Logged logged;
  for (const std::string_view text : {"two", "333", "444"}) {
    ASSERT_TRUE(logged.note(0, 3));
    logged.set(0, text);
  }
  ASSERT_TRUE(logged.log.roll_back());
  EXPECT_EQ(logged.text(0, 3), std::string_view("\0\0\0", 3)) << "the oldest value, not the last but one";
}

TEST(UndoLog, GoesBackToABoundary) {
  Logged logged;
  logged.note(0, 3);
  logged.set(0, "one");
  const std::uint64_t boundary = logged.log.begin_event();
  logged.note(0, 3);
  logged.set(0, "two");
  logged.note(50, 5);
  logged.set(50, "other");
  ASSERT_TRUE(logged.log.roll_back(boundary));
  EXPECT_EQ(logged.text(0, 3), "one");
  EXPECT_EQ(logged.text(50, 1), std::string_view("\0", 1));
  EXPECT_EQ(logged.log.tail(), boundary);
  ASSERT_TRUE(logged.log.roll_back());
  EXPECT_EQ(logged.text(0, 1), std::string_view("\0", 1));
}

TEST(UndoLog, KnowsWhereTheEventAtHandBegins) {
  Logged logged;
  logged.note(0, 3);
  const std::uint64_t boundary = logged.log.begin_event();
  EXPECT_EQ(logged.log.before_event(), boundary) << "nothing is noted yet";
  for (const std::size_t at : {std::size_t{0}, std::size_t{50}, std::size_t{0}}) {
    logged.note(at, 3);
    EXPECT_EQ(logged.log.before_event(), boundary);
  }
  ASSERT_TRUE(logged.log.roll_back(boundary));
  EXPECT_EQ(logged.log.before_event(), boundary) << "it has noted nothing";
  logged.note(50, 3);
  logged.set(50, "new");
  EXPECT_EQ(logged.log.before_event(), boundary);
  logged.log.begin_event();
  EXPECT_EQ(logged.log.before_event(), logged.log.tail());
  logged.note(50, 3);
  logged.set(50, "end");
  ASSERT_TRUE(logged.log.roll_back(logged.log.before_event()));
  EXPECT_EQ(logged.text(50, 3), "new");
}

TEST(UndoLog, NotesAgainWhatACommitHasGivenUp) {
  Logged logged;
  CommitHeader commits{};
  Commit commit{commits, {}, {}, logged.log};
  logged.note(0, 3);
  logged.set(0, "one");
  commit.commit();
  logged.note(0, 3);
  logged.set(0, "two");
  ASSERT_TRUE(logged.log.roll_back());
  EXPECT_EQ(logged.text(0, 3), "one");
}

TEST(UndoLog, TakesPiecesOfEveryLengthAndPlace) {
  for (std::size_t bytes = 0; bytes <= 100; ++bytes) {
    Logged logged;
    const std::string before(bytes, 'b');
    logged.set(128 - bytes, before);
    ASSERT_TRUE(logged.note(128 - bytes, bytes));
    logged.set(128 - bytes, std::string(bytes, 'a'));
    ASSERT_TRUE(logged.log.roll_back());
    ASSERT_EQ(logged.text(128 - bytes, bytes), before);
  }
}

TEST(UndoLog, NotesWhatAnEventChangesAgainAndAgainOnce) {
  Logged logged;
  ASSERT_TRUE(logged.note(8, 16));
  const std::uint64_t once = logged.log.tail();
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(logged.note(8, 16));
    ASSERT_TRUE(logged.note(8, 4)) << "a part of it";
    logged.set(8, std::to_string(i));
  }
  EXPECT_EQ(logged.log.tail(), once);
  ASSERT_TRUE(logged.note(8, 17)) << "more than that is noted";
  EXPECT_GT(logged.log.tail(), once);
  ASSERT_TRUE(logged.log.roll_back());
  EXPECT_EQ(logged.text(8, 3), std::string_view("\0\0\0", 3));
  ASSERT_TRUE(logged.note(8, 16)) << "and after that once more";
  EXPECT_EQ(logged.log.tail(), once);
}

// As a worker does it: events have numbers, and where one's entries begin is asked for when it is given up.
TEST(UndoLog, NotesWhatEachEventChangesInTwoEntries) {
  Logged logged;
  CommitHeader commits{};
  Commit commit{commits, {}, {}, logged.log};
  logged.set(8, "0000");
  for (const int batch : {1, 2}) {
    const std::string committed{logged.text(8, 4)};
    for (int event = 0; event < 500; ++event) {
      logged.begin_event();
      const std::string before{logged.text(8, 4)};
      ASSERT_TRUE(logged.note(8, 4));
      logged.set(8, "part");
      ASSERT_TRUE(logged.note(8, 4));
      ASSERT_TRUE(logged.note(8, 2)) << "a part of it";
      logged.set(8, std::to_string(1000 * batch + event));
      ASSERT_LE(logged.log.tail(), 2 * 24U);
      if (event != 499) continue;
      ASSERT_TRUE(logged.log.roll_back(logged.log.before_event()));
      ASSERT_EQ(logged.text(8, 4), before) << "event " << event;
    }
    if (batch == 1) {
      commit.commit();
      continue;
    }
    // Whoever takes it over goes back to the begin of the batch.
    UndoLog successor{logged.header, logged.entries, logged.state};
    ASSERT_TRUE(successor.roll_back());
    EXPECT_EQ(logged.text(8, 4), committed);
  }
}

TEST(UndoLog, NotesForEachEventWhatThoseBeforeItHaveNotAllNoted) {
  const auto third = [](std::string_view second, auto&& change) {
    Logged logged;
    for (int event = 0; event < 3; ++event) {
      logged.begin_event();
      change(logged, event);
    }
    ASSERT_TRUE(logged.log.roll_back(logged.log.before_event()));
    EXPECT_EQ(logged.text(0, second.size()), second) << "as the second event has left it";
    ASSERT_TRUE(logged.log.roll_back());
    EXPECT_EQ(logged.text(0, 4), std::string_view("\0\0\0\0", 4));
  };
  // More of it, less of it, something else besides, and that first.
  third("22", [](Logged& logged, int event) {
    logged.note(0, event == 2 ? 4 : 2);
    logged.set(0, event == 2 ? "3333" : event == 1 ? "22" : "11");
  });
  third("2222", [](Logged& logged, int event) {
    logged.note(0, event == 2 ? 2 : 4);
    logged.set(0, event == 2 ? "33" : event == 1 ? "2222" : "1111");
  });
  third("2222", [](Logged& logged, int event) {
    logged.note(0, 2);
    logged.note(2, 2);
    logged.set(0, event == 2 ? "3333" : event == 1 ? "2222" : "1111");
  });
  third("2222", [](Logged& logged, int event) {
    if (event == 1) logged.note(2, 2);
    logged.note(0, 2);
    logged.set(0, event == 2 ? "33" : event == 1 ? "2222" : "11");
  });
}

TEST(UndoLog, KeepsTheEntryOfAnEventThatIsCommittedInParts) {
  Logged logged;
  CommitHeader commits{};
  Commit commit{commits, {}, {}, logged.log};
  const auto change = [&logged](std::string_view text) {
    logged.begin_event();
    ASSERT_TRUE(logged.note(0, 3));
    logged.set(0, text);
  };
  for (const std::string_view text : {"one", "two", "333"})
    change(text);
  commit.commit(logged.log.before_event());
  for (const std::string_view text : {"444", "555"})
    change(text);
  EXPECT_LT(logged.log.before_event(), logged.log.tail());
  ASSERT_TRUE(logged.log.roll_back(logged.log.before_event()));
  EXPECT_EQ(logged.text(0, 3), "444");
  UndoLog successor{logged.header, logged.entries, logged.state};
  ASSERT_TRUE(successor.roll_back());
  EXPECT_EQ(logged.text(0, 3), "two") << "what was committed in the midst of the third";
}

// Events that note, change, are taken back and committed, whole or in parts, beside a copy of what the state must be. In half of
// the processes most of them change the same.
TEST(UndoLog, BringsBackTheBeginOfAnEventWhateverItRemembers) {
  const Seed seed;
  std::mt19937_64 random = seed.engine();
  UndoHeader header{};
  CommitHeader commits{};
  std::vector<std::byte> entries(4096);
  std::vector<std::byte> state(256);
  std::vector<std::byte> committed = state;
  for (int process = 0; process < 200; ++process) {
    UndoLog log{header, entries, state};
    Commit commit{commits, {}, {}, log};
    ASSERT_TRUE(commit.recover());
    ASSERT_EQ(state, committed);
    for (int event = 0; event < 30; ++event) {
      const bool same = process % 2 == 0 && below(random, 8) != 0;
      log.begin_event(log.event() + 1);
      const std::vector<std::byte> before = state;
      bool split = false;
      for (std::uint64_t change = same ? 1 + below(random, 2) : below(random, 40); change > 0; --change) {
        const std::uint64_t at = same ? 16 : below(random, 8) * 8 + below(random, 3);
        const std::uint64_t bytes = same ? 12 : 1 + below(random, 12);
        if (!log.note(state.data() + at, bytes)) break;
        for (std::uint64_t i = 0; i < bytes; ++i)
          state[at + i] = static_cast<std::byte>(random());
        if (split || below(random, 100) != 0) continue;
        split = true;
        commit.commit(log.before_event());
        committed = before;
      }
      if (split) {
        ASSERT_EQ(log.before_event(), log.base());
      }
      const std::uint64_t fate = below(random, 4);
      if (fate == 0) {
        ASSERT_TRUE(log.roll_back(log.before_event()));
        ASSERT_EQ(state, before);
      }
      if (fate == 1 || log.tail() > entries.size() / 2) {
        commit.commit();
        committed = state;
      }
    }
  }
}

TEST(UndoLog, ThatIsFullRefusesAndStaysAsItIs) {
  Logged logged;
  int noted = 0;
  while (logged.note(0, 16)) {
    ++noted;
    logged.log.begin_event();
  }
  EXPECT_EQ(noted, 256 / 32);
  EXPECT_EQ(logged.log.tail(), 256U) << "to the last byte";
  EXPECT_FALSE(logged.note(8, 0));
  EXPECT_TRUE(logged.log.roll_back());
  UndoLog small{logged.header, std::span{logged.entries}.first(64), logged.state};
  EXPECT_FALSE(small.note(logged.state.data(), 49)) << "an entry that can never fit";
  EXPECT_EQ(small.tail(), 0U);
}

TEST(UndoLog, RefusesToGoBackToWhereItNeverWas) {
  Logged logged;
  logged.note(0, 8);
  EXPECT_FALSE(logged.log.roll_back(logged.log.tail() + 8));
}

TEST(UndoLog, IsReadAgainByWhoeverTakesTheRegionOver) {
  Logged logged;
  logged.set(0, "first");
  logged.note(0, 5);
  logged.set(0, "later");
  UndoLog successor{logged.header, logged.entries, logged.state};
  ASSERT_TRUE(successor.roll_back());
  EXPECT_EQ(logged.text(0, 5), "first");
}

TEST(CorruptUndoLog, EndsBeyondItself) {
  for (const std::uint64_t tail : {std::uint64_t{257}, kMost, kMost - 15}) {
    Logged logged;
    logged.header.tail = tail;
    EXPECT_FALSE(logged.log.roll_back()) << tail;
  }
}

TEST(CorruptUndoLog, BeginsBehindItsEnd) {
  Logged logged;
  logged.note(0, 8);
  logged.header.base = logged.log.tail() + 1;
  EXPECT_FALSE(logged.log.roll_back());
}

TEST(CorruptUndoLog, HasAnEntryThatIsNotWhole) {
  Logged logged;
  logged.note(0, 8);
  logged.header.tail = 15;
  EXPECT_FALSE(logged.log.roll_back());
}

TEST(CorruptUndoLog, HasAnEntryOutsideTheState) {
  using Entry = std::pair<std::uint64_t, std::uint64_t>;
  for (const auto& [offset, bytes] : {Entry{121, 8}, Entry{kMost, 8}, Entry{kMost - 7, 8}, Entry{128, 1}}) {
    Logged logged;
    logged.note(0, 8);
    logged.spoil_newest(offset, bytes);
    EXPECT_FALSE(logged.log.roll_back()) << offset << " " << bytes;
  }
}

TEST(CorruptUndoLog, HasAnEntryLongerThanTheLog) {
  for (const std::uint64_t bytes : {std::uint64_t{9}, std::uint64_t{256}, kMost, kMost - 6}) {
    Logged logged;
    logged.note(0, 8);
    logged.spoil_newest(0, bytes);
    EXPECT_FALSE(logged.log.roll_back()) << bytes;
  }
}

TEST(CorruptUndoLog, HasAnEntryThatReachesBehindTheBoundary) {
  Logged logged;
  logged.note(0, 32);
  const std::uint64_t boundary = logged.log.begin_event();
  logged.note(0, 8);
  logged.spoil_newest(0, 32);
  EXPECT_FALSE(logged.log.roll_back(boundary));
}

TEST(CorruptUndoLog, NeverWritesOutsideTheStateWhateverItHolds) {
  const Seed seed;
  std::mt19937_64 random = seed.engine();
  constexpr std::size_t kGuard = 4096;
  std::vector<std::byte> memory(kGuard + 128 + kGuard, std::byte{0x5a});
  std::array<std::byte, 256> entries{};
  for (int round = 0; round < 50'000; ++round) {
    for (std::size_t at = 0; at < entries.size(); at += 8) {
      const std::uint64_t word = below(random, 8) == 0 ? random() : below(random, 160);
      std::memcpy(entries.data() + at, &word, sizeof(word));
    }
    UndoHeader header{};
    header.base = below(random, 4) == 0 ? random() : below(random, 40);
    header.tail = below(random, 4) == 0 ? random() : below(random, 300);
    UndoLog log{header, entries, std::span{memory}.subspan(kGuard, 128)};
    static_cast<void>(log.roll_back());
  }
  const auto untouched = [](std::byte byte) { return byte == std::byte{0x5a}; };
  EXPECT_TRUE(std::all_of(memory.begin(), memory.begin() + kGuard, untouched));
  EXPECT_TRUE(std::all_of(memory.end() - kGuard, memory.end(), untouched));
}

}  // namespace
}  // namespace sluice::ipc::test
