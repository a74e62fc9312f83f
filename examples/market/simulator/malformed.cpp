// SPDX-License-Identifier: Apache-2.0
#include "malformed.hpp"

#include <array>
#include <string_view>

namespace simulator {
namespace {

// A required field of every kind of record, told by a key that only that kind has.
std::string without_field(std::string json) {
  for (const std::string_view key : {"\"lastUpdateId\":", "\"U\":", "\"t\":", "\"B\":"}) {
    const std::size_t at = json.find(key);
    if (at == std::string::npos) continue;
    return json.insert(at + 1, "not_");
  }
  return json;
}

std::string without_decimal(std::string json, Random& random) {
  constexpr std::array kNoDecimals{"12.3.4", "sixty", "", "1,5", "0x1f", "61.8e"};
  for (const std::string_view before : {"\"p\":\"", "\"B\":\"", "[[\""}) {
    const std::size_t found = json.find(before);
    if (found == std::string::npos) continue;
    const std::size_t start = found + before.size();
    const std::size_t end = json.find('"', start);
    return json.replace(start, end - start,
                        kNoDecimals.at(static_cast<std::size_t>(random.below(kNoDecimals.size()))));
  }
  return json;
}

}  // namespace

MalformedLine spoil(const Record& record, std::int64_t number, Random& random) {
  switch (number % 9) {
    case 0:  // Any proper prefix of an object is no JSON.
      return {false, record.json.substr(0, static_cast<std::size_t>(
                                               random.below(static_cast<std::int64_t>(record.json.size()))))};
    case 1:
      return {false, without_field(record.json)};
    case 2:
      return {false, without_decimal(record.json, random)};
    case 3:
      return {true, record.json};  // No receive time.
    case 4:
      return {true, "-- recorder restarted --"};
    case 5:
      return {true, ""};
    case 6:
      return {false, R"({"result":null,"id":1})"};  // What the exchange answers to a subscription.
    case 7:
      return {false, record.json.substr(0, record.json.size() - 1)};
    default:
      return {false, record.json + "}"};
  }
}

}  // namespace simulator
