// SPDX-License-Identifier: Apache-2.0
#include "market/book_stage.hpp"

namespace market {

// A record begins at a multiple of eight bytes, and so do the levels behind its head: nothing is copied.
static_assert(sizeof(BookHead) % alignof(Level) == 0 && alignof(Level) <= sluice::ipc::kRecordHeaderBytes);

void BookStage::operator()(const BookRecord& record, sluice::Output<RowRecord>&) {
  books_.take(record.head,
              {reinterpret_cast<const Level*>(record.body.data()), record.body.size() / sizeof(Level)});
}

void BookStage::finish(sluice::Output<RowRecord>& rows) {
  books_.tell([&rows](Output output, const RowText& row) { rows.push(RowHead{output, 0}, row.text()); });
}

}  // namespace market
