// SPDX-License-Identifier: Apache-2.0
// A Kafka cluster for the tests: the mock of librdkafka in a process of its own, or brokers that SLUICE_KAFKA_BROKERS names,
// where topics are made by whoever set that (docs/guide/connect.md). What a test asks it runs in a process of its own.
#pragma once

#include <cstdint>
#include <string>
#include <sys/types.h>
#include <vector>

namespace sluice::test {

class KafkaCluster {
 public:
  // With these topics of so many partitions.
  KafkaCluster(const std::vector<std::string>& topics, int partitions);
  ~KafkaCluster();
  KafkaCluster(const KafkaCluster&) = delete;
  KafkaCluster& operator=(const KafkaCluster&) = delete;

  const std::string& brokers() const noexcept { return brokers_; }
  bool is_mock() const noexcept { return pid_ != 0; }

  // Of the mock: what it answers about the topic from now on; and to the next requests of this kind of the protocol
  // (0: produce, 22: a producer's id). Codes of the protocol, 0: no error.
  void set_topic_error(const std::string& topic, int code) const { command("topic " + topic, code); }
  void refuse_requests(int kind, int code) const { command("request " + std::to_string(kind), code); }
  void delay_answers(int milliseconds) const { command("delay answers", milliseconds); }

  void send(const std::string& topic, const std::vector<std::string>& values) const;
  // By partition, in order.
  std::vector<std::vector<std::string>> values_of(const std::string& topic) const;

 private:
  void command(const std::string& what, int code) const;

  int commands_ = -1;  // To the mock, and its word that one is obeyed.
  int obeyed_ = -1;
  int partitions_;
  std::string brokers_;
  pid_t pid_ = 0;
};

}  // namespace sluice::test
