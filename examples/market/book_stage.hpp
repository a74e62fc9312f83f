// SPDX-License-Identifier: Apache-2.0
// The stage `book`: level-2 order books (book.hpp), told at the end of the stream.
#pragma once

#include <vector>

#include <sluice/sluice.hpp>

#include "market/book.hpp"
#include "market/events.hpp"

namespace market {

class BookStage {
 public:
  explicit BookStage(sluice::Worker& worker) : books_{worker} {}

  void operator()(const BookRecord& record, sluice::Output<RowRecord>& rows);
  void finish(sluice::Output<RowRecord>& rows);

 private:
  Books<sluice::Worker> books_;
};

}  // namespace market
