// The stage `book`: level-2 order books, kept by the exchange's rules, told at the end of the stream.
//
// Updates are buffered until the snapshot of their instrument; then those that the snapshot already contains
// are dropped (spot: last id <= the snapshot's; futures: <) and the rest applied in order of arrival.
// Quantity 0 deletes a level. A gap is first id != previous last id + 1 (spot), previous id != previous last
// id (futures); the first update that is applied is not checked. Source: the exchange's documentation of its
// depth streams, "How to manage a local order book correctly".
#pragma once

#include <cstdint>
#include <vector>

#include <sluice/sluice.hpp>

#include "market/events.hpp"

namespace market {

class BookStage {
 public:
  explicit BookStage(sluice::Worker& worker);

  void operator()(const BookRecord& record, sluice::Outlet<RowRecord>& rows);
  void finish(sluice::Outlet<RowRecord>& rows);

 private:
  struct Book {
    std::uint64_t number;  // Of the instrument, in the keys of its levels.
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

  void keep(Book& book, const BookHead& head);
  void take_snapshot(Book& book, const BookHead& head);
  void apply_pending(Book& book);
  void apply(Book& book, const BookHead& head);
  void set_level(const Book& book, const Level& level);
  void erase_levels(const Book& book);

  sluice::Table<Instrument, Book> books_;
  sluice::Table<LevelKey, std::int64_t> levels_;  // Quantities, in units of a Decimal.
  sluice::Table<PendingKey, PendingUpdate> pending_;
  sluice::Table<PendingKey, Level> pending_levels_;
  std::vector<Level> event_levels_;  // Of the event in the handler.
};

}  // namespace market
