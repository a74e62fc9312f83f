// SPDX-License-Identifier: Apache-2.0
// The stage `book`: level-2 order books (book.hpp), told at the end of the stream.
#pragma once

#include <vector>

#include <sluice/sluice.hpp>

#include "market/book.hpp"
#include "market/events.hpp"

namespace market {

// What the instruments of a capture need; 0 of them: nobody knows how many. The exchange gives at most 5,000
// levels a side, of which many change in a day, and ten updates a second wait while a snapshot is on its way:
// minutes, when a recorder asks late. Not all instruments need that much at once.
BookCapacity book_capacity(std::uint64_t instruments);

// The state of a worker with such tables.
std::uint64_t book_state_bytes(const BookCapacity& capacity);

// For twice the changes of a snapshot with 10,000 levels for whose instrument updates of as many prices wait.
inline constexpr std::uint64_t kBookUndoBytes = std::uint64_t{8} << 20;

class BookStage {
 public:
  explicit BookStage(sluice::Worker& worker, const BookCapacity& capacity) : books_{worker, capacity} {}

  void operator()(const BookRecord& record, sluice::Output<RowRecord>& rows);
  void finish(sluice::Output<RowRecord>& rows);

 private:
  Books<sluice::Worker> books_;
};

}  // namespace market
