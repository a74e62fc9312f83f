// SPDX-License-Identifier: Apache-2.0
// KafkaSource: the messages of a Kafka topic, each handled exactly once, in the order of its partition.
//
// Experimental: it is tested against the mock cluster of librdkafka, and a broker of the tests' own, which has transactions.
// docs/guide/connect.md has the commands that run its tests against a real one.
//
// The offset of each partition is in the worker's recoverable state and moves with the commit that handles a message; a worker
// that starts seeks to it. What the cluster knows of offsets counts for nothing, and nothing is committed there. Partitions
// are not shared out by a consumer group, which would move them away from the state that belongs to them: worker r of n reads the
// partitions p with p % n == r, for ever. Partitions that are added to the topic are found within a minute. Only messages
// of committed transactions are given; what stands behind one that is open is waited for. At the end of a partition the offset passes what
// is for nobody, ends of transactions and what was given up, so that retention may take that. An offset that is gone (retention) stops the pipeline with an Error, and so does a topic that
// ends before it: one that was deleted and made anew. With fewer partitions than before it is waited for. One that holds more by then is not known
// from the old one, since librdkafka 2.0 does not tell them apart: start the pipeline anew with it.
//
//     pipeline.source<sluice::KafkaSource>("read", {.workers = 2},
//                                          sluice::KafkaSourceOptions{.server = {.brokers = b}, .topic = "payments"});
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <sluice/connect/kafka_server.hpp>
#include <sluice/event.hpp>
#include <sluice/handler.hpp>
#include <sluice/output.hpp>
#include <sluice/worker.hpp>

namespace sluice {

struct KafkaSourceOptions {
  KafkaServer server;
  std::string topic{};
  // True: the first run begins with what is there; false: behind it.
  bool from_beginning = true;
  // False: ends when it has come to the end of each partition. True: waits for more.
  bool follow = true;
  std::uint64_t most_partitions = 1024;  // That one worker may read: rows of its table.
};

struct KafkaRecord {       // A message, valid during the call that gets it.
  std::string_view key;    // Its data() is null where the message has no key,
  std::string_view value;  // and here where it has no value: a tombstone.
  std::int32_t partition = 0;
  std::int64_t offset = 0;
  std::int64_t time_ms = 0;  // Of the message, since 1970; -1: it has none.
};

// For a source of one's own, in its worker's one thread.
class KafkaReader {
 public:
  // In the source's constructor. Throws Unavailable when the cluster is away, Error for what only a person can mend.
  KafkaReader(Worker& worker, KafkaSourceOptions options);
  ~KafkaReader();
  KafkaReader(const KafkaReader&) = delete;
  KafkaReader& operator=(const KafkaReader&) = delete;

  // The next message, valid until the next call; it counts as handled when the call of the source that asked for it is
  // committed. Nothing when none came within a second, when the pipeline drains, and at the end.
  const KafkaRecord* next();
  bool ended() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// A message's value is an event; an empty one for a tombstone. Keys and tombstones are there for who owns a KafkaReader.
class KafkaSource {
 public:
  KafkaSource(Worker& worker, KafkaSourceOptions options);
  SourceState operator()(Output<Bytes>& out);

 private:
  KafkaReader reader_;
};

}  // namespace sluice
