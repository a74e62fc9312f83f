// SPDX-License-Identifier: Apache-2.0
// The process that a KafkaBroker is, and the one that starts and kills it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace sluice::test {

struct KafkaBrokerShape {
  std::string topic;
  int partitions = 0;
  int port = 0;
  std::string journal;
};

// The next whole request or answer, taken off the front.
std::optional<std::string_view> next_kafka_frame(std::string_view& received);
std::string kafka_frame(std::string_view bytes);

// What keep_kafka_broker() is told, a byte each, and what it says to that: whether the broker was there until then, and is there now.
inline constexpr char kStartBroker = 's';
inline constexpr char kKillBroker = 'k';
inline constexpr char kDone = 'd';
inline constexpr char kHadEnded = 'e';

// In a process that has nothing of the test's host: what is forked later would have its pipes, too.
[[noreturn]] void keep_kafka_broker(const KafkaBrokerShape& shape, int orders);

}  // namespace sluice::test
