// SPDX-License-Identifier: Apache-2.0
#include "market/book_stage.hpp"

#include <algorithm>

namespace market {

// A record begins at a multiple of eight bytes, and so do the levels behind its head: nothing is copied.
static_assert(sizeof(BookHead) % alignof(Level) == 0 && alignof(Level) <= sluice::ipc::kRecordHeaderBytes);

BookCapacity book_capacity(std::uint64_t instruments) {
  constexpr std::uint64_t kLevels = 15'000;
  constexpr std::uint64_t kUpdates = 4'095;
  const auto rows = [instruments](std::uint64_t of_one, std::uint64_t least, std::uint64_t most) {
    return instruments == 0 ? most : std::clamp(of_one * instruments, least, most);
  };
  // The bounds fill the slots that a table of a power of two has.
  return {.levels = rows(kLevels, 90'000, 196'000),
          .waiting_updates = rows(kUpdates, 24'500, 98'000),
          .waiting_levels = rows(kUpdates, 24'500, 49'000)};
}

std::uint64_t book_state_bytes(const BookCapacity& capacity) {
  constexpr std::uint64_t kRest = std::uint64_t{512} << 10;  // The instruments, the directory of the state.
  constexpr std::uint64_t kLevelRow = 32;
  constexpr std::uint64_t kWaitingRow = 56;
  constexpr std::uint64_t kWaitingLevelRow = 40;
  const auto slots = [](std::uint64_t rows) {
    return sluice::Table<std::uint64_t, std::uint64_t>::slots_for(rows);
  };
  return kRest + slots(capacity.levels) * kLevelRow + slots(capacity.waiting_updates) * kWaitingRow +
         slots(capacity.waiting_levels) * kWaitingLevelRow;
}

void BookStage::operator()(const BookRecord& record, sluice::Output<RowRecord>&) {
  books_.take(record.head,
              {reinterpret_cast<const Level*>(record.body.data()), record.body.size() / sizeof(Level)});
}

void BookStage::finish(sluice::Output<RowRecord>& rows) {
  books_.tell([&rows](Output output, const RowText& row) { rows.push(RowHead{output, 0}, row.text()); });
}

}  // namespace market
