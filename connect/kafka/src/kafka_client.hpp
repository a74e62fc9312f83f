// SPDX-License-Identifier: Apache-2.0
// librdkafka's objects, and how its failures become ours.
#pragma once

#include <librdkafka/rdkafka.h>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <sluice/connect/kafka_server.hpp>

namespace sluice::detail {

template <auto destroy>
struct KafkaDelete {
  template <class T>
  void operator()(T* object) const noexcept {
    destroy(object);
  }
};
using KafkaConfigPtr = std::unique_ptr<rd_kafka_conf_t, KafkaDelete<rd_kafka_conf_destroy>>;
using KafkaHandlePtr = std::unique_ptr<rd_kafka_t, KafkaDelete<rd_kafka_destroy>>;
using KafkaMessagePtr = std::unique_ptr<rd_kafka_message_t, KafkaDelete<rd_kafka_message_destroy>>;
using KafkaErrorPtr = std::unique_ptr<rd_kafka_error_t, KafkaDelete<rd_kafka_error_destroy>>;
using KafkaPartitionsPtr =
    std::unique_ptr<rd_kafka_topic_partition_list_t, KafkaDelete<rd_kafka_topic_partition_list_destroy>>;
using KafkaTopicPtr = std::unique_ptr<rd_kafka_topic_t, KafkaDelete<rd_kafka_topic_destroy>>;
using KafkaQueuePtr = std::unique_ptr<rd_kafka_queue_t, KafkaDelete<rd_kafka_queue_destroy>>;

using KafkaSettings = std::vector<std::pair<std::string, std::string>>;

// The server's settings, then ours, which win. Throws Error for one that librdkafka does not know.
KafkaConfigPtr kafka_config(const KafkaServer& server, const KafkaSettings& ours);
KafkaHandlePtr kafka_handle(rd_kafka_type_t type, KafkaConfigPtr config, const KafkaServer& server);

// "the Kafka cluster at b1:9092,b2:9092".
std::string kafka_where(const KafkaServer& server);

// The partitions of a topic. Throws Error when there is no such topic, Unavailable when the cluster does not say.
int kafka_partitions(rd_kafka_t* handle, const KafkaServer& server, const std::string& topic);

// What failed: Error for what only a person can mend, else Unavailable.
[[noreturn]] void kafka_fail(const std::string& tried, const std::string& object, rd_kafka_resp_err_t code,
                             const std::string& text);

}  // namespace sluice::detail
