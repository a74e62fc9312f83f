// SPDX-License-Identifier: Apache-2.0
// Recoverable state and tables: they do what a std::map does, and a roll-back takes back exactly what the
// event did. Random operations against a model, with the undo log used as the worker loop uses it.

#include <cstdint>
#include <cstring>
#include <map>
#include <random>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/error.hpp>
#include <sluice/state.hpp>

#include "errors.hpp"
#include "state_region.hpp"

namespace sluice::test {

using namespace detail;

namespace {

using testing::AllOf;
using testing::HasSubstr;

struct Position {
  std::uint64_t bytes = 0;
  std::uint64_t lines = 0;
};

TEST(Recoverable, BeginsWithItsInitialValueOnce) {
  Region region;
  Incarnation first{region};
  Recoverable<int> value{first.area, "value", 7};
  EXPECT_EQ(*value, 7);
  value.set(8);
  first.commit();
  Incarnation second{region};
  EXPECT_EQ(*Recoverable<int>(second.area, "value", 7), 8);
}

TEST(Recoverable, MayBeLargerThanAStack) {
  Region region;
  Incarnation now{region};
  using Large = std::array<std::byte, std::size_t{64} << 20>;
  EXPECT_THAT(error_of([&] { Recoverable<Large>(now.area, "large"); }), HasSubstr("it takes 64MiB"));
}

TEST(Recoverable, IsRolledBackMemberByMember) {
  Region region;
  Incarnation now{region};
  Recoverable<Position> position{now.area, "position", {1, 2}};
  position.edit(&Position::bytes) = 10;
  now.commit();
  position.edit(&Position::lines) = 20;
  position.edit() = {30, 30};
  now.roll_back();
  EXPECT_EQ(position->bytes, 10U);
  EXPECT_EQ(position->lines, 2U);
}

TEST(Recoverable, OfADeadWorkerIsRolledBackByItsReplacement) {
  Region region;
  {
    Incarnation dies{region};
    Recoverable<int> value{dies.area, "value", 1};
    value.set(2);
    dies.commit();
    value.set(3);
  }
  Incarnation replacement{region};
  EXPECT_EQ(*Recoverable<int>(replacement.area, "value", 1), 2);
}

TEST(Recoverable, BeyondTheUndoLogIsAnErrorThatChangesNothing) {
  Region region{64};
  Incarnation now{region};
  Recoverable<std::array<int, 100>> value{now.area, "value"};
  EXPECT_THAT(error_of([&] { value.edit()[0] = 1; }),
              AllOf(HasSubstr("undo log"), HasSubstr("stage.stage.undo.bytes=")));
  EXPECT_EQ((*value)[0], 0);
}

TEST(StateArea, RefusesStateClaimedInAnotherOrderByALaterProcess) {
  Region region;
  {
    Incarnation first{region};
    Recoverable<int> a{first.area, "a"};
    Recoverable<int> b{first.area, "b"};
  }
  Incarnation second{region};
  EXPECT_THAT(error_of([&] { Recoverable<int>(second.area, "b"); }),
              AllOf(HasSubstr("'b' of stage stage"), HasSubstr("another piece there, 'a'"),
                    HasSubstr("in the same order")));
}

TEST(StateArea, RefusesAPieceThatHasAnotherSizeThanBefore) {
  Region region;
  {
    Incarnation first{region};
    Recoverable<int> a{first.area, "a"};
  }
  Incarnation second{region};
  EXPECT_THAT(error_of([&] { Recoverable<std::uint64_t>(second.area, "a"); }), HasSubstr("another piece"));
}

TEST(StateArea, GoesOnAfterAProcessThatDiedInTheMidstOfItsClaims) {
  Region region;
  {
    Incarnation first{region};
    Recoverable<int>(first.area, "a", 1).set(5);
    first.commit();
  }
  Incarnation second{region};
  EXPECT_EQ(*Recoverable<int>(second.area, "a", 1), 5);
  EXPECT_EQ(*Recoverable<int>(second.area, "b", 6), 6);
}

TEST(StateArea, RefusesWhatDoesNotFitAndNamesTheSetting) {
  Region region;
  Incarnation now{region};
  EXPECT_THAT(error_of([&] { Table<std::uint64_t, std::uint64_t>(now.area, "big", 1'000'000); }),
              AllOf(HasSubstr("'big' of stage stage"), HasSubstr("stage.stage.state.bytes=64MiB")));
}

TEST(StateArea, RefusesNamesThatAreTooLongAndPiecesThatAreTooMany) {
  Region region;
  Incarnation now{region};
  EXPECT_THROW(Recoverable<int>(now.area, std::string(40, 'x')), Error);
  for (int i = 0; i < 64; ++i)
    Recoverable<int>(now.area, "piece" + std::to_string(i));
  EXPECT_THROW(Recoverable<int>(now.area, "one more"), Error);
}

enum class Side : std::uint8_t { bid, ask };
struct Symbol {
  char text[8];
  std::uint32_t venue;
  std::uint32_t side;

  bool operator==(const Symbol&) const = default;
  bool operator<(const Symbol& other) const { return std::memcmp(this, &other, sizeof(Symbol)) < 0; }
};

template <class K>
K key_of(std::uint32_t number) {
  return static_cast<K>(number);
}
template <>
Symbol key_of<Symbol>(std::uint32_t number) {
  Symbol symbol{};
  const std::string digits = std::to_string(number);
  std::copy(digits.begin(), digits.end(), symbol.text);
  symbol.venue = number % 3;
  return symbol;
}

// Random operations on a table of `rows` rows and on a map; each event of a few is kept or rolled back, and
// now and then another process takes over.
template <class K>
void compare_with_a_map(std::uint64_t rows, std::uint32_t keys, std::uint32_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  Region region;
  std::map<K, std::uint64_t> committed;
  for (int process = 0; process < 5; ++process) {
    Incarnation now{region};
    Recoverable<std::uint64_t> before{now.area, "before"};
    Table<K, std::uint64_t> table{now.area, "table", rows};
    for (int event = 0; event < 400; ++event) {
      std::map<K, std::uint64_t> model = committed;
      for (std::uint64_t step = random() % 8; step > 0; --step) {
        const K key = key_of<K>(static_cast<std::uint32_t>(random() % keys));
        const std::uint64_t value = random();
        if (random() % 3 == 0) {
          ASSERT_EQ(table.erase(key), model.erase(key) == 1);
        } else if (model.contains(key) || model.size() < rows) {
          table[key] = value;
          model[key] = value;
        } else {
          ASSERT_THROW(table[key] = value, Error);
        }
      }
      const std::uint64_t fate = random() % 4;
      if (fate == 0) now.roll_back();
      if (fate != 0) {
        now.commit();
        committed = model;
      }
      ASSERT_EQ(table.size(), committed.size());
      std::map<K, std::uint64_t> found;
      table.for_each([&](const K& key, std::uint64_t value) { found.emplace(key, value); });
      ASSERT_EQ(found, committed);
      for (std::uint32_t number = 0; number < keys; ++number) {
        const auto expected = committed.find(key_of<K>(number));
        const std::uint64_t* value = table.find(key_of<K>(number));
        ASSERT_EQ(value != nullptr, expected != committed.end());
        if (value != nullptr) {
          ASSERT_EQ(*value, expected->second);
        }
      }
    }
    // Dies in the midst of an event.
    table.erase(key_of<K>(0));
  }
}

TEST(Table, DoesWhatAMapDoesWhateverIsRolledBack) {
  const std::uint32_t seed = std::random_device{}();
  compare_with_a_map<std::uint32_t>(40, 60, seed);
  compare_with_a_map<std::int64_t>(100, 60, seed);
  compare_with_a_map<std::uint8_t>(12, 30, seed);
  compare_with_a_map<Side>(2, 2, seed);
  compare_with_a_map<Symbol>(20, 25, seed);
}

TEST(Table, OfEverySmallSizeTakesAsManyRowsAsItSays) {
  for (std::uint64_t rows = 0; rows <= 40; ++rows) {
    Region region;
    Incarnation now{region};
    Table<std::uint64_t, std::uint64_t> table{now.area, "table", rows};
    for (std::uint64_t key = 0; key < rows; ++key)
      table[key * 977] = key;
    EXPECT_EQ(table.size(), rows);
    EXPECT_EQ(table.capacity(), rows);
    EXPECT_FALSE(table.contains(1)) << "a search for what is not there ends, in a full table too";
    EXPECT_THAT(error_of([&] { table[1] = 1; }),
                AllOf(HasSubstr("'table' of stage stage"), HasSubstr("table.rows=")));
    EXPECT_EQ(table.size(), rows);
    for (std::uint64_t key = 0; key < rows; ++key)
      EXPECT_EQ(*table.find(key * 977), key);
  }
}

// Keys whose home is one of the last slots, so that their cluster wraps around to the first ones.
std::vector<std::uint64_t> keys_at_the_end(std::uint64_t slots, std::size_t count) {
  std::vector<std::uint64_t> keys;
  for (std::uint64_t key = 0; keys.size() < count; ++key) {
    if ((table_hash(key, HashSeed{}) & (slots - 1)) >= slots - 2) keys.push_back(key);
  }
  return keys;
}

TEST(Table, ErasesFromAClusterThatWrapsAround) {
  constexpr std::uint64_t kRows = 11;
  const std::uint64_t slots = table_slots(kRows);
  const std::vector<std::uint64_t> keys = keys_at_the_end(slots, 8);
  for (const std::uint64_t erased : keys) {
    Region region;
    Incarnation now{region};
    Table<std::uint64_t, std::uint64_t> table{now.area, "table", kRows};
    for (const std::uint64_t key : keys)
      table[key] = key;
    ASSERT_NE(index_of(region)[0], 0U) << "the cluster wraps";
    ASSERT_TRUE(table.erase(erased));
    for (const std::uint64_t key : keys)
      EXPECT_EQ(table.contains(key), key != erased);
    now.roll_back();
    EXPECT_EQ(table.size(), 0U);
  }
}

struct alignas(64) Wide {
  std::uint64_t value;
};

TEST(Table, KeepsTheAlignmentOfItsValues) {
  Region region;
  Incarnation now{region};
  Table<std::uint32_t, Wide> table{now.area, "table", 10};
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(&table[3]) % alignof(Wide), 0U);
}

TEST(StateArea, IsRefusedWhicheverBitOfAnEntryOfItsDirectoryFlips) {
  constexpr std::size_t kEntry =
      64;  // Behind the count's line: 40 bytes of name, offset, bytes, whether it is a table.
  constexpr std::size_t kEntryBytes = 64;
  for (std::size_t bit = 0; bit < kEntryBytes * 8; ++bit) {
    Region region;
    {
      Incarnation first{region};
      first.area.claim("a", 100, {});
      first.area.claim("b", 100, {});
    }
    Incarnation second{region};
    region.bytes()[kEntry + bit / 8] ^= std::byte{1} << (bit % 8);
    const bool behind_the_name = bit >= 16 && bit < std::size_t{40} * 8;
    EXPECT_EQ(error_of([&] { second.area.claim("a", 100, {}); }).empty(), behind_the_name) << bit;
  }
}

// A piece of the engine is found by its name, and is new behind whatever the directory says is there.
TEST(StateArea, RefusesANewPieceBehindOneThatAStrayStoreHasMoved) {
  constexpr std::size_t kOffset =
      64 + 40;  // Of the first entry: behind the count's line and 40 bytes of name.
  for (const std::uint64_t end : {std::uint64_t{1} << 63U, ~std::uint64_t{0}, std::uint64_t{1} << 40U}) {
    for (const std::size_t word : {kOffset, kOffset + sizeof(end)}) {
      Region region;
      {
        Incarnation first{region};
        first.area.claim("a", 100, {});
      }
      std::memcpy(&region.bytes()[word], &end, sizeof(end));
      Incarnation second{region};
      EXPECT_THAT(error_of([&] { second.area.claim("sluice.new", 8, {}); }),
                  AllOf(HasSubstr("'sluice.new' of stage stage"), HasSubstr("stray store")))
          << end << " at " << word;
    }
  }
}

TEST(Table, WhoseIndexAStrayStoreHasFilledIsAnErrorAndNoEndlessSearch) {
  Region region;
  Incarnation now{region};
  Table<std::uint64_t, std::uint64_t> table{now.area, "table", 8};
  table[77] = 1;
  std::fill_n(index_of(region), table_slots(8), std::uint64_t{1});  // Of another hash, and row 0.
  EXPECT_THAT(error_of([&] { table.contains(3); }), AllOf(HasSubstr("'table'"), HasSubstr("stray store")));
  EXPECT_THAT(error_of([&] { table[3] = 1; }), HasSubstr("stray store"));
  EXPECT_THAT(error_of([&] { table.erase(3); }), HasSubstr("stray store"));
}

TEST(Table, WithMoreRowsThanItHoldsIsRefusedByTheNextProcess) {
  Region region;
  {
    Incarnation first{region};
    Table<std::uint32_t, std::uint32_t> table{first.area, "table", 8};
  }
  region.bytes()[StateArea::overhead_bytes()] = std::byte{9};
  Incarnation second{region};
  EXPECT_THAT(error_of([&] { Table<std::uint32_t, std::uint32_t>(second.area, "table", 8); }),
              HasSubstr("stray store"));
}

TEST(StateArea, IsReadFromOutsideWithoutTrust) {
  Region region;
  Incarnation now{region};
  Recoverable<int> value{now.area, "value", 7};
  const std::byte* found = StateArea::find(region.bytes(), "value", sizeof(int));
  ASSERT_NE(found, nullptr);
  EXPECT_EQ(*reinterpret_cast<const int*>(found), 7);
  EXPECT_EQ(StateArea::find(region.bytes(), "value", sizeof(char)), nullptr);
  EXPECT_EQ(StateArea::find(region.bytes(), "other", sizeof(int)), nullptr);
  std::fill_n(region.bytes().begin(), 8, std::byte{0xff});             // The number of pieces.
  std::fill_n(region.bytes().begin() + 64 + 40, 16, std::byte{0xff});  // Where the first one is.
  EXPECT_EQ(StateArea::find(region.bytes(), "value", sizeof(int)), nullptr);
}

}  // namespace
}  // namespace sluice::test
