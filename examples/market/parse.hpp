// SPDX-License-Identifier: Apache-2.0
// Turns the JSON of one capture line into one event of the market, or into the reason why it is none.
//
// The JSON is the exchange's: {"stream": "btcusdt@trade", "data": {...}} or, without a stream, the snapshot
// of an order book. Validation is complete: a line that is rejected has had no effect. One thread uses a
// parser.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <type_traits>
#include <variant>

#include "market/decimal.hpp"
#include "market/instrument.hpp"

namespace market {

enum class Side : std::uint8_t { bid, ask };

// A price level of an order book; quantity 0 in an update means that the level is gone.
struct Level {
  Decimal price;
  Decimal quantity;
  Side side = Side::bid;
};

struct Trade {
  Instrument instrument;
  Decimal price;
  Decimal quantity;
  std::int64_t trade_id = 0;
  std::int64_t trade_time_ms = 0;  // The exchange's clock, since the epoch.
  bool buyer_maker = false;
};

// The best bid and ask.
struct Ticker {
  Instrument instrument;
  Decimal bid;
  Decimal bid_quantity;
  Decimal ask;
  Decimal ask_quantity;
  std::int64_t update_id = 0;
};

// The changes of an order book since the update before. Levels apply in their order.
struct Depth {
  Instrument instrument;
  std::int64_t first_id = 0;
  std::int64_t last_id = 0;
  // The last_id of the update before, by which futures (usdm, cm, and unknown venues that send it) are
  // checked; other venues, spot among them, are checked by first_id.
  std::int64_t previous_id = 0;
  bool has_previous_id = false;
  std::span<const Level> levels;  // The parser's, valid until it parses again.
};

// A whole order book. A level of quantity 0 is a level here.
struct Snapshot {
  Instrument instrument;
  std::int64_t last_id = 0;
  std::span<const Level> levels;  // The parser's, valid until it parses again.
};

// An event of a kind that is only counted.
struct OtherEvent {
  Instrument instrument;
  KindName kind;
};

struct Rejected {
  std::string_view reason;  // The parser's, valid until it parses again.
};

using Parsed = std::variant<Rejected, Trade, Ticker, Depth, Snapshot, OtherEvent>;

static_assert(std::is_trivially_copyable_v<Level> && std::is_trivially_copyable_v<Trade>);
static_assert(std::is_trivially_copyable_v<Ticker> && std::is_trivially_copyable_v<OtherEvent>);

// The name under which an event is counted: what stands behind the first '@' of its stream and before the
// next, or "snapshot". Empty for what was rejected.
KindName kind_name(const Parsed& parsed);

class LineParser {
 public:
  // How many bytes must be readable behind the JSON to spare copying it.
  static constexpr std::size_t kPaddingBytes = 64;

  // Lines up to the expected size are parsed without allocating; a longer one makes the parser grow once.
  explicit LineParser(std::size_t expected_json_bytes = std::size_t{64} << 10);
  LineParser(LineParser&&) noexcept;
  ~LineParser();

  // `source` gives the venue and, for snapshots, the symbol; streams name their symbol themselves.
  // `readable_behind` says how many bytes behind the JSON may be read, whatever they are.
  Parsed parse(const Instrument& source, std::string_view json, std::size_t readable_behind = 0);

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace market
