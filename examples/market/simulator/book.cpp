// SPDX-License-Identifier: Apache-2.0
#include "book.hpp"

#include <algorithm>
#include <utility>

namespace simulator {
namespace {

constexpr std::size_t kUsualLevels = 1000;  // A side.
constexpr std::size_t kFewLevels = 200;     // Below this nothing is removed, so that a side never runs dry.

Side other(Side side) {
  return side == Side::bid ? Side::ask : Side::bid;
}

}  // namespace

Book::Book(const Instrument& instrument, Random& random)
    : tick_{instrument.tick}, lot_{instrument.lot}, usual_quantity_{instrument.usual_quantity} {
  for (const Side side : {Side::bid, Side::ask}) {
    std::int64_t price = side == Side::bid ? instrument.start_price : instrument.start_price + tick_;
    // Levels lie denser near the middle, and a cheap instrument has no room for all of them above zero.
    for (std::size_t level = 0; level < kUsualLevels && price > 0; ++level) {
      set(side, price, random_quantity(random));
      price += outwards(side) * (1 + random.below(1 + static_cast<std::int64_t>(level) / 100));
    }
  }
  changed_bids_.clear();
  changed_asks_.clear();
}

PriceLevel Book::best(Side side) const {
  const auto& [price, quantity] = side == Side::bid ? *bids_.rbegin() : *asks_.begin();
  return {price, quantity};
}

std::vector<PriceLevel> Book::top(Side side, std::size_t count) const {
  std::vector<PriceLevel> result;
  const auto collect = [&](auto level, auto end) {
    for (; level != end && result.size() < count; ++level)
      result.push_back({level->first, level->second});
  };
  if (side == Side::bid) {
    collect(bids_.rbegin(), bids_.rend());
  } else {
    collect(asks_.begin(), asks_.end());
  }
  return result;
}

std::int64_t Book::random_quantity(Random& random) const {
  std::int64_t quantity = usual_quantity_ * random.between(1, 300) / 100;
  quantity >>= random.below(7);
  quantity = quantity / lot_ * lot_;
  if (random.one_in(16)) quantity += random.below(lot_);  // A few use every printed decimal.
  return std::max(quantity, lot_);
}

void Book::set(Side side, std::int64_t price, std::int64_t quantity) {
  if (quantity == 0) {
    levels(side).erase(price);
  } else {
    levels(side)[price] = quantity;
  }
  (side == Side::bid ? changed_bids_ : changed_asks_).insert(price);
  ++change_count_;
}

void Book::remove_best(Side side) {
  if (levels(side).size() > kFewLevels) set(side, best(side).price, 0);
}

void Book::remove_farthest(Side side) {
  set(side, side == Side::bid ? bids_.begin()->first : asks_.rbegin()->first, 0);
}

void Book::change_somewhere(Random& random) {
  const Side side = random.percent(50) ? Side::bid : Side::ask;
  if (levels(side).size() > kUsualLevels + 150) {
    remove_farthest(side);
    return;
  }
  const std::int64_t distance = random.below(std::int64_t{1} << random.between(1, 13));
  const std::int64_t price = best(side).price + outwards(side) * distance;
  const bool there = levels(side).contains(price);
  if (there && levels(side).size() > kFewLevels && random.percent(55)) {
    set(side, price, 0);
  } else {
    set(side, price > 0 ? price : best(side).price, random_quantity(random));
  }
}

void Book::change_best(Random& random) {
  const Side side = random.percent(50) ? Side::bid : Side::ask;
  set(side, best(side).price, random_quantity(random));
}

void Book::walk(Random& random, bool up) {
  const Side in_the_way = up ? Side::ask : Side::bid;
  const Side follower = other(in_the_way);
  for (std::int64_t count = random.between(1, 4); count > 0; --count)
    remove_best(in_the_way);
  const std::int64_t room = (best(Side::ask).price - best(Side::bid).price) / tick_;
  if (room > 1) {
    // The follower quotes one tick from the other side, as liquid books do, now and then a few ticks further.
    const std::int64_t spread =
        random.percent(90) ? 1 : random.between(1, std::min<std::int64_t>(room - 1, 5));
    set(follower, best(in_the_way).price - outwards(in_the_way) * spread, random_quantity(random));
  } else {
    set(follower, best(follower).price, random_quantity(random));
  }
}

PriceLevel Book::trade(Random& random, Side side) {
  const PriceLevel level = best(side);
  const std::int64_t wanted = random_quantity(random);
  const bool keep = levels(side).size() <= kFewLevels;
  const std::int64_t traded =
      std::min(wanted, keep ? std::max<std::int64_t>(level.quantity / 2, 1) : level.quantity);
  // A thin side's last lot is topped up instead of traded away.
  const std::int64_t rest = level.quantity - traded;
  set(side, level.price, rest == 0 && keep ? level.quantity : rest);
  return {level.price, traded};
}

std::vector<PriceLevel> Book::take_changes(Side side) {
  std::vector<PriceLevel> result;
  for (const std::int64_t price : std::exchange(side == Side::bid ? changed_bids_ : changed_asks_, {})) {
    const auto level = levels(side).find(price);
    result.push_back({price, level == levels(side).end() ? 0 : level->second});
  }
  return result;
}

}  // namespace simulator
