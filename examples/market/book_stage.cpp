#include "market/book_stage.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <map>

namespace market {
namespace {

constexpr std::uint64_t kInstruments = 1024;
constexpr std::uint64_t kLevels = 90'000;
constexpr std::uint64_t kPendingUpdates = 12'000;
constexpr std::uint64_t kPendingLevels = 90'000;

bool usable(const BookHead& head, std::int64_t snapshot_id) {
  return head.has_previous_id != 0 ? head.last_id >= snapshot_id : head.last_id > snapshot_id;
}

// What a side of a book comes to.
struct SideTotal {
  std::uint64_t levels = 0;
  std::int64_t best_price = 0;
  std::int64_t best_quantity = 0;
  QuantitySum quantity;
};

void add_side(RowText& row, const SideTotal& side) {
  if (side.levels == 0) {
    row.field("").field("");
  } else {
    row.decimal(Decimal::from_units(side.best_price)).decimal(Decimal::from_units(side.best_quantity));
  }
}

}  // namespace

BookStage::BookStage(sluice::Worker& worker)
    : books_{worker.table<Instrument, Book>("books", kInstruments)},
      levels_{worker.table<LevelKey, std::int64_t>("levels", kLevels)},
      pending_{worker.table<PendingKey, PendingUpdate>("pending", kPendingUpdates)},
      pending_levels_{worker.table<PendingKey, Level>("pending-levels", kPendingLevels)} {}

void BookStage::operator()(const BookRecord& record, sluice::Outlet<RowRecord>&) {
  event_levels_.resize(record.body.size() / sizeof(Level));
  if (!event_levels_.empty()) {
    std::memcpy(event_levels_.data(), record.body.data(), event_levels_.size() * sizeof(Level));
  }
  const std::uint64_t known = books_.size();
  const bool is_new = !books_.contains(record.head.instrument);
  Book& book = books_[record.head.instrument];
  if (is_new) book.number = known;
  if (record.head.is_snapshot != 0) {
    take_snapshot(book, record.head);
  } else if (book.has_snapshot == 0) {
    keep(book, record.head);
  } else if (usable(record.head, book.snapshot_id)) {
    apply(book, record.head);
  } else {
    ++book.dropped;
  }
}

void BookStage::keep(Book& book, const BookHead& head) {
  pending_[{book.number, book.pending++}] = {head, book.pending_levels, event_levels_.size()};
  for (const Level& level : event_levels_)
    pending_levels_[{book.number, book.pending_levels++}] = level;
}

void BookStage::take_snapshot(Book& book, const BookHead& head) {
  if (book.has_snapshot != 0) erase_levels(book);
  book.has_snapshot = 1;
  book.snapshot_id = head.last_id;
  book.has_last_id = 0;
  for (const Level& level : event_levels_) {
    levels_[{static_cast<std::uint32_t>(book.number), static_cast<std::uint32_t>(level.side),
             level.price.units()}] = level.quantity.units();
  }
  apply_pending(book);
}

void BookStage::apply_pending(Book& book) {
  for (std::uint64_t i = 0; i < book.pending; ++i) {
    const PendingUpdate update = *pending_.find({book.number, i});
    event_levels_.clear();
    for (std::uint64_t l = update.first_level; l < update.first_level + update.levels; ++l) {
      event_levels_.push_back(*pending_levels_.find({book.number, l}));
      pending_levels_.erase({book.number, l});
    }
    pending_.erase({book.number, i});
    if (usable(update.head, book.snapshot_id)) {
      apply(book, update.head);
    } else {
      ++book.dropped;
    }
  }
  book.pending = 0;
  book.pending_levels = 0;
}

void BookStage::apply(Book& book, const BookHead& head) {
  if (book.has_last_id != 0) {
    const bool follows =
        head.has_previous_id != 0 ? head.previous_id == book.last_id : head.first_id == book.last_id + 1;
    if (!follows) ++book.gaps;
  }
  book.has_last_id = 1;
  book.last_id = head.last_id;
  ++book.applied;
  for (const Level& level : event_levels_)
    set_level(book, level);
}

void BookStage::set_level(const Book& book, const Level& level) {
  const LevelKey key{static_cast<std::uint32_t>(book.number), static_cast<std::uint32_t>(level.side),
                     level.price.units()};
  if (level.quantity.is_zero()) {
    levels_.erase(key);
  } else {
    levels_[key] = level.quantity.units();
  }
}

void BookStage::erase_levels(const Book& book) {
  std::vector<LevelKey> keys;
  levels_.for_each([&](const LevelKey& key, std::int64_t) {
    if (key.book == book.number) keys.push_back(key);
  });
  for (const LevelKey& key : keys)
    levels_.erase(key);
}

void BookStage::finish(sluice::Outlet<RowRecord>& rows) {
  std::map<std::uint32_t, SideTotal> totals[2];
  levels_.for_each([&](const LevelKey& key, std::int64_t quantity) {
    SideTotal& side = totals[key.side][key.book];
    const bool bid = key.side == static_cast<std::uint32_t>(Side::bid);
    if (side.levels == 0 || (bid ? key.price > side.best_price : key.price < side.best_price)) {
      side.best_price = key.price;
      side.best_quantity = quantity;
    }
    ++side.levels;
    // 64-bit quantities of at most 2^32 levels always fit 128 bits.
    (void)add(side.quantity, Decimal::from_units(quantity));
  });
  books_.for_each([&](const Instrument& instrument, const Book& book) {
    if (book.has_snapshot == 0) return;
    const auto number = static_cast<std::uint32_t>(book.number);
    const SideTotal& bids = totals[0][number];
    const SideTotal& asks = totals[1][number];
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
    add_side(row, bids);
    add_side(row, asks);
    row.number(static_cast<std::int64_t>(bids.levels)).number(static_cast<std::int64_t>(asks.levels));
    row.decimal(bids.quantity).decimal(asks.quantity);
    rows.push(RowHead{Output::book, 0}, row.text());
  });
}

}  // namespace market
