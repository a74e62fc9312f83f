// SPDX-License-Identifier: Apache-2.0
#include "market/book_stage.hpp"

#include <algorithm>
#include <array>

namespace market {

// A record begins at a multiple of eight bytes, and so do the levels behind its head: nothing is copied.
static_assert(sizeof(BookHead) % alignof(Level) == 0 && alignof(Level) <= sluice::ipc::kRecordHeaderBytes);

BookCapacity book_capacity(std::uint64_t instruments) {
  constexpr std::uint64_t kLevels = 15'000;
  constexpr std::uint64_t kUpdates = 4'095;
  const auto rows = [instruments](std::uint64_t of_one, std::uint64_t least, std::uint64_t most) {
    return instruments == 0 ? most : std::clamp(of_one * instruments, least, most);
  };
  // The bounds are what the index of a table of a power of two holds.
  return {.levels = rows(kLevels, 90'000, 196'000),
          .waiting_updates = rows(kUpdates, 24'500, 98'000),
          .waiting_levels = rows(kUpdates, 24'500, 49'000)};
}

std::uint64_t book_state_bytes(const BookCapacity& capacity) {
  constexpr std::uint64_t kRest = std::uint64_t{512} << 10;  // The instruments, the directory of the state.
  // Of the sizes of the keys and values that the book keeps.
  using Key = std::array<std::uint64_t, 2>;
  using Levels = sluice::Table<Key, std::uint64_t>;
  using WaitingUpdates = sluice::Table<Key, std::array<std::uint64_t, 4>>;
  using WaitingLevels = sluice::Table<Key, std::array<std::uint64_t, 2>>;
  return kRest + Levels::bytes_for(capacity.levels) + WaitingUpdates::bytes_for(capacity.waiting_updates) +
         WaitingLevels::bytes_for(capacity.waiting_levels);
}

void BookStage::operator()(const BookRecord& record, sluice::Output<RowRecord>&) {
  books_.take(record.head,
              {reinterpret_cast<const Level*>(record.body.data()), record.body.size() / sizeof(Level)});
}

void BookStage::finish(sluice::Output<RowRecord>& rows) {
  books_.tell([&rows](Output output, const RowText& row) { rows.push(RowHead{output, 0}, row.text()); });
}

}  // namespace market
