// SPDX-License-Identifier: Apache-2.0
// What the market's hosts and the test that feeds them send each other by way of JetStream: lines by partition, a message without
// anything at the end of each, and the rows of the answers.
#pragma once

#include <cstring>
#include <string>
#include <string_view>
#include <utility>

namespace sluice::test {

inline constexpr const char* kLines = "LINES";
inline constexpr const char* kRows = "ROWS";
inline constexpr unsigned kMarketPartitions = 3;

// A head, and the text behind it.
template <class Head>
std::string packed(const Head& head, std::string_view text) {
  std::string message(sizeof(head), '\0');
  std::memcpy(message.data(), &head, sizeof(head));
  return message.append(text);
}

template <class Head>
std::pair<Head, std::string_view> unpacked(std::string_view message) {
  Head head{};
  std::memcpy(&head, message.data(), sizeof(head));
  return {head, message.substr(sizeof(head))};
}

}  // namespace sluice::test
