// SPDX-License-Identifier: Apache-2.0
// How KafkaSink and KafkaSource reach their cluster. A plain value; nothing is connected before the worker's handler is made.
#pragma once

#include <chrono>
#include <string>
#include <utility>
#include <vector>

namespace sluice {

struct KafkaServer {                       // Where the brokers are, and who asks them.
  std::string brokers = "127.0.0.1:9092";  // One, or several with commas between them.
  // Settings of librdkafka by their names there: {"security.protocol", "sasl_ssl"}, {"sasl.password", ...}. Their values never
  // appear in a message. What exactness stands on (transactional.id, isolation.level, enable.auto.commit) is not theirs to set.
  std::vector<std::pair<std::string, std::string>> settings{};
  // For each answer. A cluster that takes longer is away (Unavailable).
  std::chrono::milliseconds timeout{10'000};
};

}  // namespace sluice
