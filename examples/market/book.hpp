// SPDX-License-Identifier: Apache-2.0
// Level-2 order books, kept by the exchange's rules, over memory of any kind.
//
// Updates are buffered until the snapshot of their instrument; then those that the snapshot already contains
// are dropped (spot: last id <= the snapshot's; futures: <) and the rest applied in order of arrival.
// Quantity 0 deletes a level. A gap is first id != previous last id + 1 (spot), previous id != previous last
// id (futures); the first update that is applied is not checked. Source: the exchange's documentation of its
// depth streams, "How to manage a local order book correctly".
//
// Memory gives table<Key, Value>(name, rows): a sluice::Worker for a stage, ordinary memory elsewhere.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "market/events.hpp"
#include "market/tables.hpp"

namespace market {

template <class Memory>
class Books {
 public:
  explicit Books(Memory& memory)
      : books_{memory.template table<Instrument, Book>("books", kInstruments)},
        levels_{memory.template table<LevelKey, std::int64_t>("levels", kLevels)},
        pending_{memory.template table<PendingKey, PendingUpdate>("pending", kPendingUpdates)},
        pending_levels_{memory.template table<PendingKey, Level>("pending-levels", kPendingLevels)} {}

  void take(const BookHead& head, std::span<const Level> levels) {
    Book& book = books_[head.instrument];
    if (book.number == 0) book.number = books_.size();
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
  static constexpr std::uint64_t kInstruments = 1024;
  static constexpr std::uint64_t kLevels = 90'000;
  static constexpr std::uint64_t kPendingUpdates = 6'000;
  static constexpr std::uint64_t kPendingLevels = 24'000;

  struct Book {
    std::uint64_t number;  // Of the instrument, from 1, in the keys of its levels.
    std::uint64_t has_snapshot;
    std::int64_t snapshot_id;
    std::uint64_t dropped;
    std::uint64_t applied;
    std::uint64_t gaps;
    std::uint64_t has_last_id;
    std::int64_t last_id;
    std::uint64_t pending;         // Updates that wait for the snapshot.
    std::uint64_t pending_levels;  // Levels of those.
  };
  struct LevelKey {
    std::uint32_t book;
    std::uint32_t side;
    std::int64_t price;
    bool operator==(const LevelKey&) const = default;
  };
  struct PendingKey {
    std::uint64_t book;
    std::uint64_t number;
    bool operator==(const PendingKey&) const = default;
  };
  struct PendingUpdate {
    BookHead head;
    std::uint64_t first_level;
    std::uint64_t levels;
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
      (void)market::add(quantity, Decimal::from_units(level_quantity));
    }
  };

  static bool usable(const BookHead& head, std::int64_t snapshot_id) {
    return head.has_previous_id != 0 ? head.last_id >= snapshot_id : head.last_id > snapshot_id;
  }
  static LevelKey key_of(const Book& book, const Level& level) {
    return {static_cast<std::uint32_t>(book.number), static_cast<std::uint32_t>(level.side),
            level.price.units()};
  }

  void keep(Book& book, const BookHead& head, std::span<const Level> levels) {
    pending_[{book.number, book.pending++}] = {head, book.pending_levels, levels.size()};
    for (const Level& level : levels)
      pending_levels_[{book.number, book.pending_levels++}] = level;
  }

  void take_snapshot(Book& book, const BookHead& head, std::span<const Level> levels) {
    if (book.has_snapshot != 0) erase_levels(book);
    book.has_snapshot = 1;
    book.snapshot_id = head.last_id;
    book.has_last_id = 0;
    for (const Level& level : levels)
      levels_[key_of(book, level)] = level.quantity.units();
    apply_pending(book);
  }

  void apply_pending(Book& book) {
    std::vector<Level> levels;
    for (std::uint64_t i = 0; i < book.pending; ++i) {
      const PendingUpdate update = *pending_.find({book.number, i});
      levels.clear();
      for (std::uint64_t l = update.first_level; l < update.first_level + update.levels; ++l) {
        levels.push_back(*pending_levels_.find({book.number, l}));
        pending_levels_.erase({book.number, l});
      }
      pending_.erase({book.number, i});
      if (usable(update.head, book.snapshot_id)) {
        apply(book, update.head, levels);
      } else {
        ++book.dropped;
      }
    }
    book.pending = 0;
    book.pending_levels = 0;
  }

  void apply(Book& book, const BookHead& head, std::span<const Level> levels) {
    if (book.has_last_id != 0) {
      const bool follows =
          head.has_previous_id != 0 ? head.previous_id == book.last_id : head.first_id == book.last_id + 1;
      if (!follows) ++book.gaps;
    }
    book.has_last_id = 1;
    book.last_id = head.last_id;
    ++book.applied;
    for (const Level& level : levels) {
      if (level.quantity.is_zero()) {
        levels_.erase(key_of(book, level));
      } else {
        levels_[key_of(book, level)] = level.quantity.units();
      }
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
  TableIn<Memory, PendingKey, PendingUpdate> pending_;
  TableIn<Memory, PendingKey, Level> pending_levels_;
};

}  // namespace market
