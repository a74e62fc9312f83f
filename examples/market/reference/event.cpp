// SPDX-License-Identifier: Apache-2.0
#include "event.hpp"

#include <string_view>
#include <utility>

#include <simdjson.h>

namespace reference {
namespace {

using Object = simdjson::dom::object;
using Element = simdjson::dom::element;

Element field(Object object, std::string_view key) {
  Element value;
  if (object[key].get(value) != simdjson::SUCCESS) throw BadLine{"no field " + std::string{key}};
  return value;
}

template <typename Value>
Value field_as(Object object, std::string_view key, const char* type) {
  Value value{};
  if (field(object, key).get(value) != simdjson::SUCCESS) {
    throw BadLine{"field " + std::string{key} + " is no " + type};
  }
  return value;
}

std::string text(Object object, std::string_view key) {
  return std::string{field_as<std::string_view>(object, key, "text")};
}
std::int64_t integer(Object object, std::string_view key) {
  return field_as<std::int64_t>(object, key, "integer");
}
bool truth(Object object, std::string_view key) {
  return field_as<bool>(object, key, "truth value");
}

Decimal decimal_of(Element element, std::string_view key) {
  std::string_view digits;
  if (element.get(digits) == simdjson::SUCCESS) {
    if (const auto value = Decimal::parse(digits)) return *value;
  }
  throw BadLine{"field " + std::string{key} + " is no decimal"};
}
Decimal decimal(Object object, std::string_view key) {
  return decimal_of(field(object, key), key);
}

std::vector<Level> levels(Object object, std::string_view key) {
  std::vector<Level> result;
  for (const Element entry : field_as<simdjson::dom::array>(object, key, "list")) {
    simdjson::dom::array pair;
    if (entry.get(pair) != simdjson::SUCCESS || pair.size() != 2) {
      throw BadLine{"an entry of field " + std::string{key} + " is no pair"};
    }
    result.push_back(
        {decimal_of(pair.at(0).value_unsafe(), key), decimal_of(pair.at(1).value_unsafe(), key)});
  }
  return result;
}

Trade trade(Object data) {
  return {decimal(data, "p"), decimal(data, "q"), integer(data, "T"), integer(data, "t"), truth(data, "m")};
}

Ticker ticker(Object data) {
  return {decimal(data, "b"), decimal(data, "B"), decimal(data, "a"), decimal(data, "A"), integer(data, "u")};
}

Depth depth(Object data, bool names_previous) {
  return {integer(data, "U"), integer(data, "u"), names_previous ? integer(data, "pu") : 0, levels(data, "b"),
          levels(data, "a")};
}

Event stream_event(Object document, std::string_view venue) {
  const std::string stream = text(document, "stream");
  const std::size_t at = stream.find('@');
  if (at == std::string::npos) throw BadLine{"field stream names no kind"};
  const std::size_t end = stream.find('@', at + 1);

  const auto data = field_as<Object>(document, "data", "object");
  Event event{text(data, "s"), stream.substr(at + 1, end == std::string::npos ? end : end - at - 1),
              Unknown{}};
  if (event.kind == "trade") event.body = trade(data);
  if (event.kind == "bookTicker") event.body = ticker(data);
  if (event.kind == "depth") event.body = depth(data, venue != "spot");
  return event;
}

}  // namespace

struct EventParser::Tree {
  simdjson::dom::parser parser;
};

EventParser::EventParser() : tree_{std::make_unique<Tree>()} {}
EventParser::~EventParser() = default;

Event EventParser::parse(const CaptureLine& line) {
  Element root;
  if (const auto error = tree_->parser.parse(line.json.data(), line.json.size()).get(root)) {
    throw BadLine{std::string{"JSON does not parse: "} + simdjson::error_message(error)};
  }
  Object document;
  if (root.get(document) != simdjson::SUCCESS) throw BadLine{"JSON is no object"};
  if (Element stream; document["stream"].get(stream) == simdjson::SUCCESS && !stream.is_null()) {
    return stream_event(document, line.venue);
  }
  // The one record without a stream is the REST snapshot; it does not name its symbol at every venue.
  return {std::string{line.symbol}, "snapshot",
          Snapshot{integer(document, "lastUpdateId"), levels(document, "bids"), levels(document, "asks")}};
}

}  // namespace reference
