// SPDX-License-Identifier: Apache-2.0
// What travels between the stages of the market demonstration.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <sluice/event.hpp>

#include "market/decimal.hpp"
#include "market/instrument.hpp"
#include "market/parse.hpp"

namespace market {

// One capture line; the body is its JSON.
struct LineHead {
  Instrument instrument;
  std::uint64_t number;  // In its file, counted from 1.
  std::uint32_t file;    // In the order of the command line.
  std::uint32_t reserved;
};
using LineRecord = sluice::Record<LineHead>;

// An update of an order book, or a whole one; the body is its levels.
struct BookHead {
  Instrument instrument;
  std::int64_t first_id;
  std::int64_t last_id;
  std::int64_t previous_id;
  std::uint32_t has_previous_id;
  std::uint32_t is_snapshot;
};
using BookRecord = sluice::Record<BookHead>;

// One event to be counted.
struct Tally {
  Instrument instrument;
  KindName kind;
  bool operator==(const Tally&) const = default;
};

// The files of the output, and, as a row without text, the word of a reader that has read all its input.
enum class Output : std::uint32_t { event_counts, trades, bars, book, last_ticker, rejected, end_of_input };
inline constexpr std::uint32_t kOutputs = 6;

// One row of an output file; the body is its sort key, a separator and its text without newline.
struct RowHead {
  Output output;
  std::uint32_t reserved;
};
using RowRecord = sluice::Record<RowHead>;

inline constexpr char kKeySeparator = '\x1f';  // Sorts before any byte of a name.

// Builds rows: a key that sorts as the answers do, then tab-separated fields.
class RowText {
 public:
  RowText& key(std::string_view text) {
    text_.append(text);
    text_.push_back('\t');
    return *this;
  }
  RowText& key(const Instrument& instrument) {
    return key(instrument.venue.text()).key(instrument.symbol.text());
  }
  // Numbers sort as numbers: the sign flipped to the front, a fixed width.
  RowText& key(std::int64_t number);

  RowText& field(std::string_view text) {
    separate();
    text_.append(text);
    return *this;
  }
  RowText& field(const Instrument& instrument) {
    return field(instrument.venue.text()).field(instrument.symbol.text());
  }
  RowText& number(std::int64_t number);
  template <class Value>
  RowText& decimal(const Value& value) {
    separate();
    append(text_, value);
    return *this;
  }

  const std::string& text() const { return text_; }

 private:
  void separate() {
    text_.push_back(in_fields_ ? '\t' : kKeySeparator);
    in_fields_ = true;
  }

  std::string text_;
  bool in_fields_ = false;
};

// A line that is no event: file, line number and reason.
std::string rejected_row(std::string_view file, std::uint64_t line, std::string_view reason);

}  // namespace market
