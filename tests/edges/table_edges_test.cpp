// SPDX-License-Identifier: Apache-2.0
// Tables at their edges: references and walks while rows come and go, keys that are
// chosen to collide, parts of values, and what a stray store leaves behind.
#include <array>
#include <cstdint>
#include <map>
#include <random>
#include <set>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sluice/sluice.hpp>

#include "errors.hpp"
#include "state_region.hpp"

namespace sluice::test {

using namespace detail;

namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

using Numbers = Table<std::uint64_t, std::uint64_t>;

class TableEdges : public ::testing::Test {
 protected:
  Region region_;
  Incarnation now_{region_};
};

TEST_F(TableEdges, ReferenceHoldsWhileOtherRowsComeAndGo) {
  Numbers table{now_.area, "table", 40};
  for (std::uint64_t key = 0; key < 30; ++key)
    table[key] = key;
  for (std::uint64_t kept = 0; kept < 30; ++kept) {
    std::uint64_t& value = table[kept];
    for (std::uint64_t other = 0; other < 30; ++other) {
      if (other == kept) continue;
      table.erase(other);
      table[100 + other] = 7;
    }
    value = 1000 + kept;
    EXPECT_EQ(*table.find(kept), 1000 + kept);
    EXPECT_EQ(&value, table.find(kept));
    now_.roll_back();
    for (std::uint64_t key = 0; key < 30; ++key)
      table[key] = key;
    now_.commit();
  }
}

TEST_F(TableEdges, WalkThatErasesMeetsEveryRowOnce) {
  constexpr std::uint64_t kRows = 90;
  Numbers table{now_.area, "table", kRows};
  for (std::uint64_t key = 0; key < kRows; ++key)
    table[key * 31] = key;
  std::multiset<std::uint64_t> met;
  table.for_each([&](std::uint64_t key, std::uint64_t value) {
    met.insert(value);
    if (value % 3 != 0) table.erase(key);
  });
  std::multiset<std::uint64_t> expected;
  for (std::uint64_t key = 0; key < kRows; ++key)
    expected.insert(key);
  EXPECT_EQ(met, expected);
  EXPECT_EQ(table.size(), kRows / 3);
  for (std::uint64_t slot = 0; slot < table.slots(); ++slot) {
    if (const auto* row = table.slot(slot)) table.erase(row->key);
  }
  EXPECT_EQ(table.size(), 0U);
  for (std::uint64_t key = 0; key < kRows; ++key)
    table[key] = key;
  EXPECT_EQ(table.size(), kRows) << "every row can be had again";
}

// A walk in portions, with commits and another process between them.
TEST_F(TableEdges, WalkOfSeveralPortionsMeetsEachRowThatStaysOnce) {
  std::multiset<std::uint64_t> met;
  std::uint64_t at = 0;
  for (bool more = true; more;) {
    Incarnation next{region_};
    Numbers table{next.area, "table", 50};
    if (at == 0) {
      for (std::uint64_t key = 0; key < 50; ++key)
        table[key] = key;
    }
    for (const std::uint64_t end = std::min(at + 7, table.slots()); at < end; ++at) {
      const auto* row = table.slot(at);
      if (row == nullptr) continue;
      met.insert(row->key);
      table.erase(row->key);
      table.erase(49 - row->key);
    }
    more = at < table.slots();
    next.commit();
  }
  std::multiset<std::uint64_t> expected;
  for (std::uint64_t key = 0; key < 25; ++key)
    expected.insert(key);
  EXPECT_EQ(met, expected);
}

TEST_F(TableEdges, SeedOfAPipelineDecidesWhichKeysCollide) {
  constexpr std::uint64_t kSlots = 1U << 10U;
  // Keys that a sender has chosen: they all want one slot, for one seed.
  std::vector<std::uint64_t> chosen;
  for (std::uint64_t key = 0; chosen.size() < 500; ++key) {
    if (table_hash(key, HashSeed::of(1)) % kSlots == 0) chosen.push_back(key);
  }
  for (const std::uint64_t drawn :
       {std::uint64_t{2}, std::uint64_t{1} << 63U, std::uint64_t{0x123456789abcdef}}) {
    std::map<std::uint64_t, int> wanted;
    for (const std::uint64_t key : chosen)
      ++wanted[table_hash(key, HashSeed::of(drawn)) % kSlots];
    EXPECT_GT(wanted.size(), 300U) << drawn;
  }
}

// Blocks that equal a word of the hash would wipe out what came before them, did the words not have the seed.
TEST_F(TableEdges, TextsHaveNoCollisionThatHoldsForEverySeed) {
  std::array<std::array<std::uint64_t, 4>, 2> texts{};
  texts[0] = {1, 2, HashSeed{}.first, 3};
  texts[1] = {4, 5, HashSeed{}.first, 3};
  EXPECT_EQ(hash_bytes(&texts[0], 32), hash_bytes(&texts[1], 32)) << "as the routes hash";
  for (std::uint64_t drawn = 1; drawn < 1000; ++drawn) {
    const HashSeed seed = HashSeed::of(drawn);
    ASSERT_NE(hash_bytes(&texts[0], 32, seed), hash_bytes(&texts[1], 32, seed)) << drawn;
  }
}

TEST_F(TableEdges, NumbersAreSpreadWhateverTheirStep) {
  for (const std::uint64_t step :
       {std::uint64_t{1}, std::uint64_t{64}, std::uint64_t{1} << 32U, std::uint64_t{1} << 52U}) {
    for (const std::uint64_t drawn : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{0xfeedfacecafe}}) {
      std::set<std::uint64_t> wanted;
      for (std::uint64_t i = 0; i < 1024; ++i)
        wanted.insert(table_hash(i * step, HashSeed::of(drawn)) & 1023U);
      EXPECT_GT(wanted.size(), 500U) << step << " " << drawn;  // 647 of 1024, were they random.
    }
  }
}

struct Wide {
  std::uint64_t count;
  std::array<std::uint32_t, 1000> cells;
  char text[100];
};

TEST_F(TableEdges, MembersAndRangesOfAValueAreNotedAlone) {
  Table<int, Wide> table{now_.area, "table", 10};
  Recoverable<Wide> value{now_.area, "value"};
  Recoverable<std::array<int, 500>> cells{now_.area, "cells"};
  Table<int, std::array<int, 500>> rows{now_.area, "rows", 10};
  table[1].count = 5;
  rows[1][3] = 4;
  now_.commit();
  const auto noted = [&](const auto& edit) {
    const std::uint64_t before = now_.undo.tail();
    edit();
    return now_.undo.tail() - before;
  };
  EXPECT_EQ(noted([&] { table.edit(1, &Wide::count) = 6; }), 24U);
  EXPECT_EQ(noted([&] { table.edit(1, &Wide::cells, 10, 4)[3] = 7; }), 32U);
  EXPECT_EQ(noted([&] { table.edit(1, &Wide::text, 99, 1)[0] = 'x'; }), 24U);
  EXPECT_EQ(noted([&] { value.edit(&Wide::cells, 998, 2)[1] = 8; }), 24U);
  EXPECT_EQ(noted([&] { cells.edit(499, 1)[0] = 9; }), 24U);
  EXPECT_EQ(noted([&] { rows.edit(1, 3, 1)[0] = 10; }), 24U);
  EXPECT_EQ(noted([&] { table.edit(1, &Wide::cells, 1000, 0); }), 0U);
  EXPECT_EQ(table.find(1)->cells[13], 7U);
  EXPECT_EQ(table.find(1)->text[99], 'x');
  EXPECT_EQ(value->cells[999], 8U);
  EXPECT_EQ((*cells)[499], 9);
  now_.roll_back();
  EXPECT_EQ(table.find(1)->count, 5U);
  EXPECT_EQ(table.find(1)->cells[13], 0U);
  EXPECT_EQ(table.find(1)->text[99], 0);
  EXPECT_EQ(value->cells[999], 0U);
  EXPECT_EQ((*cells)[499], 0);
  EXPECT_EQ((*rows.find(1))[3], 4);
}

TEST_F(TableEdges, RangeThatIsNoneIsAnErrorAndNothingIsTouched) {
  Table<int, Wide> table{now_.area, "table", 10};
  table[1].count = 5;
  constexpr std::size_t kMost = ~std::size_t{0};
  for (const auto& [first, count] : std::vector<std::pair<std::size_t, std::size_t>>{
           {0, 1001}, {1000, 1}, {1001, 0}, {1, kMost}, {kMost, 1}, {kMost, kMost}}) {
    EXPECT_THAT(error_of([&, first = first, count = count] { table.edit(1, &Wide::cells, first, count); }),
                AllOf(HasSubstr("of an array of 1000"), HasSubstr("stage")));
  }
}

TEST_F(TableEdges, MemberOfANewRowIsOneOfAnEmptyValue) {
  Table<int, Wide> table{now_.area, "table", 10};
  table.edit(3, &Wide::count) = 9;
  EXPECT_EQ(table.find(3)->count, 9U);
  EXPECT_EQ(table.find(3)->cells[5], 0U);
  now_.roll_back();
  EXPECT_FALSE(table.contains(3));
}

TEST_F(TableEdges, SizeThatNoMemoryHoldsIsAnError) {
  EXPECT_THAT(error_of([&] { Numbers(now_.area, "table", ~std::uint64_t{0}); }),
              HasSubstr("the most that a table"));
  EXPECT_THAT(error_of([&] { Numbers(now_.area, "table", std::uint64_t{1} << 60U); }), HasSubstr("'table'"));
  EXPECT_THAT(error_of([&] { Numbers(now_.area, "table", std::uint64_t{1} << 31U); }),
              HasSubstr("state.bytes="));
}

// Whatever bytes a table has, each call ends, in an answer or an Error, within the memory of the table.
TEST_F(TableEdges, OfArbitraryBytesAnswersOrIsRefused) {
  constexpr std::uint64_t kRows = 12;
  const std::uint32_t drawn = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(drawn));
  std::mt19937_64 random{drawn};
  {
    Numbers table{now_.area, "table", kRows};
    for (std::uint64_t key = 0; key < 10; ++key)
      table[key] = key;
    table.erase(2);
    table.erase(7);
    now_.commit();
  }
  const std::vector<std::byte> sound{region_.bytes().begin(), region_.bytes().end()};
  const std::size_t begin = StateArea::overhead_bytes();
  const std::size_t bytes = Numbers::bytes_for(kRows);
  std::uint64_t refused = 0;
  constexpr int kRounds = 20'000;
  for (int round = 0; round < kRounds; ++round) {
    std::copy(sound.begin(), sound.begin() + static_cast<std::ptrdiff_t>(begin + bytes),
              region_.bytes().begin());
    for (std::uint64_t hits = 1 + random() % 3; hits > 0; --hits) {
      // A bit, or a small number in a word: what looks like a row.
      std::uint64_t* const word =
          reinterpret_cast<std::uint64_t*>(region_.bytes().data() + begin) + random() % (bytes / 8);
      *word = random() % 2 == 0 ? *word ^ (std::uint64_t{1} << random() % 64) : random() % 16;
    }
    try {
      Incarnation next{region_};
      Numbers table{next.area, "table", kRows};
      std::uint64_t met = 0;
      table.for_each([&](std::uint64_t, std::uint64_t) { ++met; });
      ASSERT_LE(met, kRows);
      for (std::uint64_t i = 0; i < 20; ++i) {
        const std::uint64_t key = random() % 16;
        if (random() % 2 == 0) {
          table[key] = i;
        } else {
          table.erase(key);
        }
      }
    } catch (const Error&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, kRounds / 10);
  const auto behind = region_.bytes().subspan(begin + bytes);
  EXPECT_TRUE(std::all_of(behind.begin(), behind.end(), [](std::byte byte) { return byte == std::byte{0}; }));
}

// The seed is drawn once for the life of a pipeline: what was found before it was stopped is found after it.
class Sums {
 public:
  explicit Sums(Worker& worker) : sums_{worker.table<std::uint64_t, std::uint64_t>("sums", 100)} {}
  void operator()(std::uint64_t number, Output<std::uint64_t>& out) { out.push(++sums_[number]); }

 private:
  Numbers sums_;
};

TEST_F(TableEdges, RunInlineHasASeedAndItsWalksHaveTheSameOrder) {
  Pipeline pipeline{"sums"};
  pipeline.inlet<std::uint64_t>("in").to<Sums>("sums").outlet("out");
  const std::vector<std::uint64_t> numbers{5, 6, 5, 5, 7, 6};
  const std::vector<std::uint64_t> expected{1, 1, 2, 3, 1, 2};
  EXPECT_EQ(run_inline(pipeline, numbers).events<std::uint64_t>("out"), expected);
  for (std::uint64_t drawn = 1; drawn < 4; ++drawn) {
    Region region;
    Incarnation now{region, drawn};
    Numbers table{now.area, "table", 20};
    std::vector<std::uint64_t> met;
    for (std::uint64_t key = 20; key > 0; --key)
      table[key * 7] = key;
    table.for_each([&](std::uint64_t, std::uint64_t value) { met.push_back(value); });
    ASSERT_EQ(met.size(), 20U);
    EXPECT_TRUE(std::is_sorted(met.rbegin(), met.rend())) << "rows are met as they were inserted";
  }
}

}  // namespace
}  // namespace sluice::test
