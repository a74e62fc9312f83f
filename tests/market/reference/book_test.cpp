// SPDX-License-Identifier: Apache-2.0
// The rules of a level-2 book, as the exchanges state them: which updates count, and what a gap is.
#include <gtest/gtest.h>

#include "instrument.hpp"

namespace reference {
namespace {

Level level(const char* price, const char* quantity) {
  return {Decimal::parse(price).value(), Decimal::parse(quantity).value()};
}

Depth update(std::int64_t first, std::int64_t last, std::int64_t previous = 0) {
  return {first, last, previous, {level("99", "1")}, {level("101", "1")}};
}

Snapshot snapshot(std::int64_t id) {
  return {id, {level("98", "5")}, {level("102", "5")}};
}

TEST(ReferenceBook, AppliesUpdatesThatWaitedForTheSnapshot) {
  Book book{true};
  book.take(update(1, 9));
  book.take(update(10, 12));
  EXPECT_FALSE(book.started());
  book.take(snapshot(9));
  EXPECT_EQ(book.dropped(), 1);
  EXPECT_EQ(book.applied(), 1);
  EXPECT_EQ(book.bids().rbegin()->first.text(), "99");
}

TEST(ReferenceBook, DropsTheSnapshotsOwnNumberAtTheSpotVenueOnly) {
  Book spot{true};
  Book futures{false};
  for (Book* book : {&spot, &futures}) {
    book->take(snapshot(9));
    book->take(update(7, 9));
  }
  EXPECT_EQ(spot.dropped(), 1);
  EXPECT_EQ(futures.applied(), 1);
}

TEST(ReferenceBook, CountsAGapByTheVenuesOwnRuleAndNeverForTheFirstUpdate) {
  Book spot{true};
  spot.take(snapshot(9));
  for (const Depth& each : {update(50, 51), update(52, 53), update(55, 56)})
    spot.take(each);
  EXPECT_EQ(spot.gaps(), 1);

  Book futures{false};
  futures.take(snapshot(9));
  for (const Depth& each : {update(50, 51, 40), update(60, 61, 51), update(62, 63, 60)})
    futures.take(each);
  EXPECT_EQ(futures.gaps(), 1);
}

TEST(ReferenceBook, DeletesALevelWhoseQuantityIsZero) {
  Book book{true};
  book.take(snapshot(9));
  book.take(Depth{10, 10, 0, {level("98.00", "0.000"), level("97", "0")}, {}});
  EXPECT_TRUE(book.bids().empty());
  EXPECT_EQ(book.asks().size(), 1U);
}

TEST(ReferenceBook, StartsAnewWithALaterSnapshot) {
  Book book{true};
  book.take(snapshot(9));
  book.take(update(10, 12));
  book.take(snapshot(40));
  EXPECT_EQ(book.bids().size(), 1U);
  EXPECT_FALSE(book.last_id());
  book.take(update(90, 91));
  EXPECT_EQ(book.gaps(), 0);
}

}  // namespace
}  // namespace reference
