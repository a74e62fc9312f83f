// SPDX-License-Identifier: Apache-2.0
// simdjson's DOM is used rather than its on-demand parser: it validates the whole document, also what no
// event needs, and it picks the instructions of the machine when it runs. On-demand code is compiled for the
// baseline of the distribution, where it took 1.6 times as long over the recorded captures.

#include "market/parse.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <simdjson.h>

namespace market {
namespace {

namespace dom = simdjson::dom;

static_assert(LineParser::kPaddingBytes >= simdjson::SIMDJSON_PADDING);

constexpr std::size_t kMostQuotedBytes = 40;   // Of a wrong value in a reason.
constexpr std::size_t kLevelsAtFirst = 16384;  // The largest snapshots of the exchanges hold 10,000.

// A member of an object, found or not. The last of equal names counts, as in most JSON readers.
struct Field {
  std::string_view name;
  std::string_view full_name;  // For reasons.
  dom::element value{};
  bool found = false;
};

// Fills in the fields that the object has.
void find_fields(dom::object object, std::span<Field> fields) {
  for (const dom::key_value_pair member : object) {
    for (Field& field : fields) {
      // Nearly every pair differs here already, which spares a call of memcmp.
      if (field.name.size() != member.key.size() || field.name.front() != member.key.front()) continue;
      if (field.name != member.key) continue;
      field.value = member.value;
      field.found = true;
      break;
    }
  }
}

// What is shown of a text in a reason: its beginning, without bytes that would break the line.
std::string shown(std::string_view text) {
  std::string out{text.substr(0, kMostQuotedBytes)};
  for (char& byte : out) {
    if (static_cast<unsigned char>(byte) < 0x20 || static_cast<unsigned char>(byte) >= 0x7f) byte = '?';
  }
  if (text.size() > kMostQuotedBytes) out += "...";
  return out;
}

}  // namespace

class LineParser::Implementation {
 public:
  explicit Implementation(std::size_t expected_json_bytes) {
    levels_.reserve(kLevelsAtFirst);
    reason_.reserve(256);
    reserve(expected_json_bytes);
  }

  Parsed parse(const Instrument& source, std::string_view json, std::size_t readable_behind) {
    reason_.clear();
    levels_.clear();
    if (json.empty()) return reject("there is no JSON");
    if (json.size() > capacity_bytes_ && !reserve(2 * json.size())) return reject("no memory for this JSON");
    if (readable_behind < kPaddingBytes) {
      std::memcpy(copy_.data(), json.data(), json.size());
      json = {copy_.data(), json.size()};
    }
    dom::element root;
    const simdjson::error_code error = parser_.parse(json.data(), json.size(), false).get(root);
    if (error != simdjson::SUCCESS) {
      return reject("JSON does not parse: {}", simdjson::error_message(error));
    }
    return read_root(source, root);
  }

 private:
  template <class... Arguments>
  Rejected reject(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
    reason_.clear();
    fmt::format_to(std::back_inserter(reason_), format, std::forward<Arguments>(arguments)...);
    return Rejected{reason_};
  }

  bool reserve(std::size_t json_bytes) {
    if (parser_.allocate(json_bytes) != simdjson::SUCCESS) return false;
    copy_.resize(json_bytes + kPaddingBytes);
    capacity_bytes_ = json_bytes;
    return true;
  }

  Parsed read_root(const Instrument& source, dom::element root) {
    dom::object object;
    if (root.get(object) != simdjson::SUCCESS) return reject("wrong type: the line is no JSON object");
    std::array<Field, 5> fields{{{"stream", "stream"},
                                 {"data", "data"},
                                 {"lastUpdateId", "lastUpdateId"},
                                 {"bids", "bids"},
                                 {"asks", "asks"}}};
    find_fields(object, fields);
    auto& [stream, data, last_id, bids, asks] = fields;
    if (!stream.found || stream.value.is_null()) {
      Snapshot snapshot;
      snapshot.instrument = source;
      if (!read(last_id, snapshot.last_id) || !read(bids, Side::bid) || !read(asks, Side::ask))
        return failed();
      snapshot.levels = levels_;
      return snapshot;
    }
    KindName kind;
    dom::object members;
    if (!read_kind(stream, kind) || !read(data, members)) return failed();
    return read_data(source, kind, members);
  }

  Parsed read_data(const Instrument& source, const KindName& kind, dom::object members) {
    const std::string_view name = kind.text();
    if (name == "trade") return read_trade(source, members);
    if (name == "bookTicker") return read_ticker(source, members);
    if (name == "depth") return read_depth(source, members);
    std::array<Field, 1> fields{{{"s", "data.s"}}};
    find_fields(members, fields);
    OtherEvent event;
    event.kind = kind;
    if (!read_instrument(fields[0], source, event.instrument)) return failed();
    return event;
  }

  Parsed read_trade(const Instrument& source, dom::object members) {
    std::array<Field, 6> fields{{{"s", "data.s"},
                                 {"t", "data.t"},
                                 {"p", "data.p"},
                                 {"q", "data.q"},
                                 {"T", "data.T"},
                                 {"m", "data.m"}}};
    find_fields(members, fields);
    auto& [symbol, id, price, quantity, time, maker] = fields;
    Trade trade;
    const bool good = read_instrument(symbol, source, trade.instrument) && read(id, trade.trade_id) &&
                      read(price, trade.price) && read(quantity, trade.quantity) &&
                      read(time, trade.trade_time_ms) && read(maker, trade.buyer_maker);
    return good ? Parsed{trade} : failed();
  }

  Parsed read_ticker(const Instrument& source, dom::object members) {
    std::array<Field, 6> fields{{{"u", "data.u"},
                                 {"s", "data.s"},
                                 {"b", "data.b"},
                                 {"B", "data.B"},
                                 {"a", "data.a"},
                                 {"A", "data.A"}}};
    find_fields(members, fields);
    auto& [id, symbol, bid, bid_quantity, ask, ask_quantity] = fields;
    Ticker ticker;
    const bool good = read_instrument(symbol, source, ticker.instrument) && read(id, ticker.update_id) &&
                      read(bid, ticker.bid) && read(bid_quantity, ticker.bid_quantity) &&
                      read(ask, ticker.ask) && read(ask_quantity, ticker.ask_quantity);
    return good ? Parsed{ticker} : failed();
  }

  Parsed read_depth(const Instrument& source, dom::object members) {
    std::array<Field, 6> fields{{{"s", "data.s"},
                                 {"U", "data.U"},
                                 {"u", "data.u"},
                                 {"pu", "data.pu"},
                                 {"b", "data.b"},
                                 {"a", "data.a"}}};
    find_fields(members, fields);
    auto& [symbol, first, last, previous, bids, asks] = fields;
    Depth depth;
    const std::string_view venue = source.venue.text();
    const bool needs_previous = venue == "usdm" || venue == "cm";
    depth.has_previous_id = needs_previous || (venue != "spot" && previous.found);
    const bool good = read_instrument(symbol, source, depth.instrument) && read(first, depth.first_id) &&
                      read(last, depth.last_id) &&
                      (!depth.has_previous_id || read(previous, depth.previous_id)) &&
                      read(bids, Side::bid) && read(asks, Side::ask);
    if (!good) return failed();
    depth.levels = levels_;
    return depth;
  }

  // What a function that returned false has written down.
  Parsed failed() const { return Rejected{reason_}; }

  bool missing(const Field& field) {
    reject("missing field {}", field.full_name);
    return false;
  }

  bool wrong_type(std::string_view full_name, std::string_view wanted) {
    reject("wrong type: field {} is no {}", full_name, wanted);
    return false;
  }

  bool read(const Field& field, std::int64_t& out) {
    if (!field.found) return missing(field);
    return field.value.get(out) == simdjson::SUCCESS || wrong_type(field.full_name, "64-bit integer");
  }

  bool read(const Field& field, bool& out) {
    if (!field.found) return missing(field);
    return field.value.get(out) == simdjson::SUCCESS || wrong_type(field.full_name, "true or false");
  }

  bool read(const Field& field, dom::object& out) {
    if (!field.found) return missing(field);
    return field.value.get(out) == simdjson::SUCCESS || wrong_type(field.full_name, "object");
  }

  bool read(const Field& field, Decimal& out) {
    return field.found ? read_decimal(field.full_name, field.value, out) : missing(field);
  }

  bool read_decimal(std::string_view full_name, dom::element value, Decimal& out) {
    std::string_view text;
    if (value.get(text) != simdjson::SUCCESS) return wrong_type(full_name, "decimal in quotes");
    const sluice::ParsedDecimal parsed = parse_decimal(text);
    out = parsed.value;
    if (parsed.fault == DecimalFault::none) return true;
    reject("field {} is no decimal: \"{}\": {}", full_name, shown(text), to_text(parsed.fault));
    return false;
  }

  // Levels are pairs ["price","quantity"].
  bool read(const Field& field, Side side) {
    if (!field.found) return missing(field);
    dom::array levels;
    if (field.value.get(levels) != simdjson::SUCCESS) return wrong_type(field.full_name, "list");
    for (const dom::element element : levels) {
      dom::array pair;
      if (element.get(pair) != simdjson::SUCCESS) return wrong_pair(field);
      Level level;
      level.side = side;
      auto part = pair.begin();
      const auto end = pair.end();
      if (!(part != end)) return wrong_pair(field);
      if (!read_decimal(field.full_name, *part, level.price)) return false;
      if (!(++part != end)) return wrong_pair(field);
      if (!read_decimal(field.full_name, *part, level.quantity)) return false;
      if (++part != end) return wrong_pair(field);
      levels_.push_back(level);
    }
    return true;
  }

  bool wrong_pair(const Field& field) {
    return wrong_type(field.full_name, "list of pairs [\"price\",\"quantity\"]");
  }

  bool read_instrument(const Field& field, const Instrument& source, Instrument& out) {
    if (!field.found) return missing(field);
    std::string_view symbol;
    if (field.value.get(symbol) != simdjson::SUCCESS) return wrong_type(field.full_name, "string");
    out.venue = source.venue;
    const TextFault fault = out.symbol.assign(symbol);
    if (fault == TextFault::none) return true;
    reject("field {} is no symbol: \"{}\" {}", field.full_name, shown(symbol), market::text(fault));
    return false;
  }

  bool read_kind(const Field& stream, KindName& out) {
    std::string_view name;
    if (stream.value.get(name) != simdjson::SUCCESS) return wrong_type(stream.full_name, "string");
    const std::size_t at = name.find('@');
    const std::string_view behind = at == std::string_view::npos ? std::string_view{} : name.substr(at + 1);
    const TextFault fault = out.assign(behind.substr(0, behind.find('@')));
    if (fault == TextFault::none) return true;
    reject("field stream names no kind: \"{}\": the kind behind '@' {}", shown(name), market::text(fault));
    return false;
  }

  dom::parser parser_;
  std::size_t capacity_bytes_ = 0;
  std::vector<char> copy_;  // For JSON that must not be read beyond its end.
  std::vector<Level> levels_;
  std::string reason_;
};

LineParser::LineParser(std::size_t expected_json_bytes)
    : implementation_{std::make_unique<Implementation>(expected_json_bytes)} {}
LineParser::LineParser(LineParser&&) noexcept = default;
LineParser::~LineParser() = default;

Parsed LineParser::parse(const Instrument& source, std::string_view json, std::size_t readable_behind) {
  return implementation_->parse(source, json, readable_behind);
}

KindName kind_name(const Parsed& parsed) {
  struct Name {
    std::string_view operator()(const Rejected&) const { return {}; }
    std::string_view operator()(const Trade&) const { return "trade"; }
    std::string_view operator()(const Ticker&) const { return "bookTicker"; }
    std::string_view operator()(const Depth&) const { return "depth"; }
    std::string_view operator()(const Snapshot&) const { return "snapshot"; }
    std::string_view operator()(const OtherEvent& event) const { return event.kind.text(); }
  };
  KindName name;
  name.assign(std::visit(Name{}, parsed));
  return name;
}

}  // namespace market
