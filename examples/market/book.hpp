// SPDX-License-Identifier: Apache-2.0
// Level-2 order books, kept by the exchange's rules, over memory of any kind.
//
// Updates wait for the snapshot of their instrument; then those that the snapshot already contains are dropped
// (spot: last id <= the snapshot's; futures: <) and the rest applied in order of arrival. Quantity 0 deletes a
// level. A gap is first id != previous last id + 1 (spot), previous id != previous last id (futures); the
// first update that is applied is not checked. Source: the exchange's documentation of its depth streams, "How
// to manage a local order book correctly".
//
// Of the levels of waiting updates only those are kept that can still matter: at a price, an update that comes
// later and is at least as new hides those before it, whatever the snapshot's id will be. So what waits grows
// with the number of prices and not with time; of an update itself only its ids are kept.
//
// Memory gives table<Key, Value>(name, rows): a sluice::Worker for a stage, ordinary memory elsewhere.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "market/events.hpp"
#include "market/tables.hpp"

namespace market {

inline constexpr std::uint64_t kBookInstruments = 1024;

// Rows of the tables.
struct BookCapacity {
  std::uint64_t levels = 196'000;
  std::uint64_t waiting_updates = 98'000;
  std::uint64_t waiting_levels = 49'000;
};

template <class Memory>
class Books {
 public:
  explicit Books(Memory& memory, const BookCapacity& capacity = {})
      : books_{memory.template table<Instrument, Book>("books", kBookInstruments)},
        levels_{memory.template table<LevelKey, std::int64_t>("levels", capacity.levels)},
        waiting_{memory.template table<WaitingKey, WaitingUpdate>("waiting", capacity.waiting_updates)},
        waiting_levels_{
            memory.template table<LevelKey, WaitingLevel>("waiting-levels", capacity.waiting_levels)} {}

  void take(const BookHead& head, std::span<const Level> levels) {
    Book& book = books_[head.instrument];
    if (book.number == 0) book.number = books_.size();
    if (book.has_snapshot != 0 && book.swept < book.waiting) sweep(book);
    if (head.is_snapshot != 0) {
      take_snapshot(book, head, levels);
    } else if (book.has_snapshot == 0) {
      keep(book, head, levels);
    } else if (usable(head, book.snapshot_id)) {
      apply(book, head, levels);
    } else {
      ++book.dropped;
    }
  }

  // push(Output, row) for every instrument that has a book.
  void tell(auto&& push) const {
    std::map<std::uint64_t, SideTotal> totals[2];
    levels_.for_each([&](const LevelKey& key, std::int64_t quantity) {
      totals[key.side][key.book].add(key.side == static_cast<std::uint32_t>(Side::bid), key.price, quantity);
    });
    books_.for_each([&](const Instrument& instrument, const Book& book) {
      if (book.has_snapshot == 0) return;
      push(Output::book, row_of(instrument, book, totals[0][book.number], totals[1][book.number]));
    });
  }

 private:
  struct Book {
    std::uint64_t number;  // Of the instrument, from 1, in the keys of its levels.
    std::uint64_t has_snapshot;
    std::int64_t snapshot_id;
    std::uint64_t dropped;
    std::uint64_t applied;
    std::uint64_t gaps;
    std::uint64_t has_last_id;
    std::int64_t last_id;
    std::uint64_t waiting;  // Updates that wait for the first snapshot, or waited,
    std::uint64_t swept;    // and so many of these that are forgotten.
  };
  struct LevelKey {
    std::uint32_t book;
    std::uint32_t side;
    std::int64_t price;
    bool operator==(const LevelKey&) const = default;
  };
  struct WaitingKey {
    std::uint64_t book;
    std::uint64_t number;
    bool operator==(const WaitingKey&) const = default;
  };
  struct WaitingUpdate {
    std::int64_t first_id;
    std::int64_t last_id;
    std::int64_t previous_id;
    std::uint64_t has_previous_id;
  };
  // In its key the side says more: above how many older ones it stands (keep_level()).
  struct WaitingLevel {
    std::int64_t quantity;
    std::int64_t usable_to;  // The largest id of a snapshot that does not contain it.
  };
  // What a side of a book comes to.
  struct SideTotal {
    std::uint64_t levels = 0;
    std::int64_t best_price = 0;
    std::int64_t best_quantity = 0;
    QuantitySum quantity;

    void add(bool bid, std::int64_t price, std::int64_t level_quantity) {
      if (levels == 0 || (bid ? price > best_price : price < best_price)) {
        best_price = price;
        best_quantity = level_quantity;
      }
      ++levels;
      // 64-bit quantities of at most 2^32 levels always fit 128 bits.
      (void)sluice::add(quantity, Decimal::from_units(level_quantity));
    }
  };

  static std::int64_t usable_to(const auto& update) {
    constexpr std::int64_t kLeast = std::numeric_limits<std::int64_t>::min();
    return update.has_previous_id != 0 || update.last_id == kLeast ? update.last_id : update.last_id - 1;
  }
  static bool usable(const auto& update, std::int64_t snapshot_id) {
    return usable_to(update) >= snapshot_id;
  }
  static LevelKey key_of(const Book& book, const Level& level) {
    return {static_cast<std::uint32_t>(book.number), static_cast<std::uint32_t>(level.side),
            level.price.units()};
  }

  static LevelKey key_at(LevelKey key, std::uint32_t depth) {
    key.side |= depth << 1U;
    return key;
  }

  void keep(Book& book, const BookHead& head, std::span<const Level> levels) {
    waiting_[{book.number, book.waiting++}] = {head.first_id, head.last_id, head.previous_id,
                                               head.has_previous_id};
    for (const Level& level : levels)
      keep_level(key_of(book, level), {level.quantity.units(), usable_to(head)});
  }

  // At a price the levels that wait stand in order of arrival, each less new than the one before it: which of
  // them will hold depends on the snapshot. Exchanges send in order, so that there is one.
  void keep_level(const LevelKey& key, const WaitingLevel& level) {
    std::uint32_t depth = 0;
    for (const WaitingLevel* older = waiting_levels_.find(key);
         older != nullptr && older->usable_to > level.usable_to;
         older = waiting_levels_.find(key_at(key, depth)))
      ++depth;
    waiting_levels_[key_at(key, depth)] = level;
    while (waiting_levels_.erase(key_at(key, ++depth))) {
    }
  }

  void take_snapshot(Book& book, const BookHead& head, std::span<const Level> levels) {
    const bool first = book.has_snapshot == 0;
    if (!first) erase_levels(book);
    book.has_snapshot = 1;
    book.snapshot_id = head.last_id;
    book.has_last_id = 0;
    for (const Level& level : levels)
      levels_[key_of(book, level)] = level.quantity.units();
    if (first && book.waiting != 0) apply_waiting(book);
  }

  void apply_waiting(Book& book) {
    for (std::uint64_t i = 0; i < book.waiting; ++i) {
      const WaitingUpdate update = *waiting_.find({book.number, i});
      if (usable(update, book.snapshot_id)) {
        count(book, update);
      } else {
        ++book.dropped;
      }
    }
    std::vector<std::pair<LevelKey, WaitingLevel>> waited;
    waiting_levels_.for_each([&](const LevelKey& key, const WaitingLevel& level) {
      if (key.book == book.number) waited.emplace_back(key, level);
    });
    // By price, and there in order of arrival.
    std::sort(waited.begin(), waited.end(), [](const auto& one, const auto& other) {
      return std::tie(one.first.price, one.first.side) < std::tie(other.first.price, other.first.side);
    });
    for (auto& [key, level] : waited) {
      waiting_levels_.erase(key);
      key.side &= 1U;
      if (level.usable_to >= book.snapshot_id) set_level(key, level.quantity);
    }
  }

  // Forgets some of the updates that waited: all at once would be too much for the undo log.
  void sweep(Book& book) {
    constexpr std::uint64_t kAtOnce = 16;
    for (std::uint64_t i = 0; i < kAtOnce && book.swept < book.waiting; ++i)
      waiting_.erase({book.number, book.swept++});
  }

  // An update that is applied, but for its levels.
  static void count(Book& book, const auto& update) {
    if (book.has_last_id != 0) {
      const bool follows = update.has_previous_id != 0 ? update.previous_id == book.last_id
                                                       : update.first_id == book.last_id + 1;
      if (!follows) ++book.gaps;
    }
    book.has_last_id = 1;
    book.last_id = update.last_id;
    ++book.applied;
  }

  void apply(Book& book, const BookHead& head, std::span<const Level> levels) {
    count(book, head);
    for (const Level& level : levels)
      set_level(key_of(book, level), level.quantity.units());
  }

  void set_level(const LevelKey& key, std::int64_t quantity) {
    if (quantity == 0) {
      levels_.erase(key);
    } else {
      levels_[key] = quantity;
    }
  }

  void erase_levels(const Book& book) {
    std::vector<LevelKey> keys;
    levels_.for_each([&](const LevelKey& key, std::int64_t) {
      if (key.book == book.number) keys.push_back(key);
    });
    for (const LevelKey& key : keys)
      levels_.erase(key);
  }

  static void add_best(RowText& row, const SideTotal& side) {
    if (side.levels == 0) {
      row.field("").field("");
    } else {
      row.decimal(Decimal::from_units(side.best_price)).decimal(Decimal::from_units(side.best_quantity));
    }
  }

  static RowText row_of(const Instrument& instrument, const Book& book, const SideTotal& bids,
                        const SideTotal& asks) {
    RowText row;
    row.key(instrument).field(instrument).number(book.snapshot_id);
    row.number(static_cast<std::int64_t>(book.dropped)).number(static_cast<std::int64_t>(book.applied));
    row.number(static_cast<std::int64_t>(book.gaps));
    // The answers call an instrument's missing last id None, as the language they were computed in does.
    if (book.has_last_id != 0) {
      row.number(book.last_id);
    } else {
      row.field("None");
    }
    add_best(row, bids);
    add_best(row, asks);
    row.number(static_cast<std::int64_t>(bids.levels)).number(static_cast<std::int64_t>(asks.levels));
    row.decimal(bids.quantity).decimal(asks.quantity);
    return row;
  }

  TableIn<Memory, Instrument, Book> books_;
  TableIn<Memory, LevelKey, std::int64_t> levels_;  // Quantities, in units of a Decimal.
  TableIn<Memory, WaitingKey, WaitingUpdate> waiting_;
  TableIn<Memory, LevelKey, WaitingLevel> waiting_levels_;
};

}  // namespace market
