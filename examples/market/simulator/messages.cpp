// SPDX-License-Identifier: Apache-2.0
#include "messages.hpp"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace simulator {
namespace {

// A JSON object under construction; keys and texts come from tables of ours and need no escaping.
class Writer {
 public:
  explicit Writer(const Instrument& instrument) : instrument_{instrument} {}

  Writer& open(std::string_view opening) {
    text_ += opening;
    fresh_ = true;
    return *this;
  }
  Writer& close(std::string_view closing) {
    text_ += closing;
    return *this;
  }
  Writer& raw(std::string_view key, std::string_view value) {
    if (!fresh_) text_ += ',';
    fresh_ = false;
    text_.append("\"").append(key).append("\":").append(value);
    return *this;
  }
  Writer& text(std::string_view key, std::string_view value) {
    raw(key, "\"");
    text_.append(value).append("\"");
    return *this;
  }
  Writer& number(std::string_view key, std::int64_t value) { return raw(key, std::to_string(value)); }
  Writer& price(std::string_view key, std::int64_t value) {
    return text(key, fixed(value, instrument_.price_decimals));
  }
  Writer& quantity(std::string_view key, std::int64_t value) {
    return text(key, fixed(value, instrument_.quantity_decimals));
  }
  Writer& levels(std::string_view key, const std::vector<PriceLevel>& levels) {
    std::string list = "[";
    for (const PriceLevel& level : levels) {
      if (list.size() > 1) list += ',';
      list.append("[\"").append(fixed(level.price, instrument_.price_decimals));
      list.append("\",\"").append(fixed(level.quantity, instrument_.quantity_decimals)).append("\"]");
    }
    return raw(key, list + "]");
  }
  Writer& stream(std::string_view kind) {
    std::string name = instrument_.symbol;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char letter) { return static_cast<char>(std::tolower(letter)); });
    open("{").text("stream", name.append("@").append(kind));
    raw("data", "{");
    fresh_ = true;
    return *this;
  }
  Writer& symbol() {
    text("s", instrument_.symbol);
    return *this;
  }
  Writer& symbol_and_pair() {
    symbol();
    if (instrument_.venue == Venue::cm) text("ps", instrument_.pair);
    return *this;
  }
  std::string take() { return std::move(text_); }

 private:
  static std::string fixed(std::int64_t value, int decimals) {
    std::string digits = std::to_string(value);
    if (decimals == 0) return digits;
    const auto fraction = static_cast<std::size_t>(decimals);
    if (digits.size() <= fraction) digits.insert(0, fraction + 1 - digits.size(), '0');
    return digits.insert(digits.size() - fraction, 1, '.');
  }

  const Instrument& instrument_;
  std::string text_;
  bool fresh_ = true;
};

}  // namespace

std::string json(const Instrument& instrument, const TradeMessage& message) {
  Writer writer{instrument};
  writer.stream("trade").text("e", "trade").number("E", message.clock.sent_ms);
  const bool spot = instrument.venue == Venue::spot;
  if (!spot) writer.number("T", message.clock.matched_ms);
  writer.symbol().number("t", message.id);
  writer.price("p", message.traded.price).quantity("q", message.traded.quantity);
  if (spot) {
    writer.number("T", message.clock.matched_ms);
  } else {
    writer.text("X", "MARKET");
  }
  writer.raw("m", message.buyer_is_maker ? "true" : "false");
  if (spot) writer.raw("M", "true");
  return writer.close("}}").take();
}

std::string json(const Instrument& instrument, const TickerMessage& message) {
  Writer writer{instrument};
  writer.stream("bookTicker");
  if (instrument.venue == Venue::usdm) writer.text("e", "bookTicker");
  writer.number("u", message.update_id);
  if (instrument.venue == Venue::cm) writer.text("e", "bookTicker");
  writer.symbol_and_pair();
  writer.price("b", message.bid.price).quantity("B", message.bid.quantity);
  writer.price("a", message.ask.price).quantity("A", message.ask.quantity);
  if (instrument.venue != Venue::spot) {
    writer.number("T", message.clock.matched_ms).number("E", message.clock.sent_ms);
  }
  return writer.close("}}").take();
}

std::string json(const Instrument& instrument, const DepthMessage& message) {
  Writer writer{instrument};
  const bool spot = instrument.venue == Venue::spot;
  writer.stream(spot ? "depth@100ms" : "depth@0ms")
      .text("e", "depthUpdate")
      .number("E", message.clock.sent_ms);
  if (!spot) writer.number("T", message.clock.matched_ms);
  writer.symbol_and_pair().number("U", message.first_id).number("u", message.last_id);
  if (!spot) writer.number("pu", message.previous_id);
  return writer.levels("b", message.bids).levels("a", message.asks).close("}}").take();
}

std::string json(const Instrument& instrument, const SnapshotMessage& message) {
  Writer writer{instrument};
  writer.open("{").number("lastUpdateId", message.update_id);
  if (instrument.venue != Venue::spot) {
    writer.number("E", message.clock.sent_ms).number("T", message.clock.matched_ms);
  }
  if (instrument.venue == Venue::cm) writer.text("symbol", instrument.symbol).text("pair", instrument.pair);
  return writer.levels("bids", message.bids).levels("asks", message.asks).close("}").take();
}

}  // namespace simulator
