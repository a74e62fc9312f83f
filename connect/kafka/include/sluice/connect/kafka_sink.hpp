// SPDX-License-Identifier: Apache-2.0
// KafkaSink: messages in a Kafka topic, each exactly once for readers of committed messages, by transactions.
//
// Experimental: it is tested against the mock cluster of librdkafka, which has no real transactions, and a broker of the tests' own,
// which has. docs/guide/connect.md has the commands that run its tests against a real one.
//
// KafkaStore is a store for TransactionSink. Each worker has a transactional id of its own (pipeline, stage, replica): a
// replacement that asks for it ends its predecessor's transaction and fences it, so that a worker that was stopped and
// continues gets an Error. The messages of a batch are one transaction, with the watermarks of the worker's lanes as the
// metadata of an offset that the transaction commits, in a consumer group of the worker's own, "sluice/PIPELINE/STAGE/REPLICA".
// A replacement ends the predecessor's transaction, reads that offset, and leaves out what it covers.
//
//     stream.to<sluice::KafkaSink>("out", {}, sluice::KafkaSinkOptions{.server = {.brokers = b}, .topic = "payments"});
//
// What a user sees to on the cluster: the topic exists; readers set isolation.level=read_committed; the brokers keep the offsets of
// groups (offsets.retention.minutes, 7 days at first) for longer than the pipeline may stand still between two starts;
// acks=all means something (min.insync.replicas). Watermarks of more than about 150 lanes into one worker do not fit into the
// metadata (offset.metadata.max.bytes, 4096) and are an Error.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <sluice/connect/kafka_server.hpp>
#include <sluice/connect/transaction_sink.hpp>
#include <sluice/event.hpp>

namespace sluice {

// A message: those with one key go to one partition, in order.
struct KafkaMessage {
  explicit KafkaMessage(std::string value, std::string key = {})
      : value{std::move(value)}, key{std::move(key)} {}

  std::string value;
  std::string key;  // Empty: any partition.
};

struct KafkaSinkOptions {
  KafkaServer server;
  std::string topic{};
  std::string name{};  // Of the owner; empty: the pipeline's.
};

// A store for TransactionSink: see there for when what is called and thrown.
class KafkaStore {
 public:
  using Effect = KafkaMessage;

  explicit KafkaStore(KafkaSinkOptions options);
  ~KafkaStore();
  KafkaStore(const KafkaStore&) = delete;
  KafkaStore& operator=(const KafkaStore&) = delete;

  std::string name_or(const std::string& pipeline) const;
  std::chrono::nanoseconds call_limit() const noexcept;
  SinkClaim claim(const SinkOwner& owner);
  void apply(const SinkBatch<Effect>& batch);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

class KafkaSink {
 public:
  KafkaSink(Worker& worker, KafkaSinkOptions options) : sink_{worker, std::move(options)} {}

  // The event's bytes are a message without a key.
  void operator()(const Bytes& event) { publish(event.text()); }
  // The event in the handler makes this message, sent with its batch.
  void publish(std::string_view value, std::string_view key = {}) {
    sink_.add(std::string{value}, std::string{key});
  }

 private:
  TransactionSink<KafkaStore> sink_;
};

}  // namespace sluice
