// SPDX-License-Identifier: Apache-2.0
// What KafkaBroker answers: the requests of a transactional producer and of who reads the offsets of a group, as the protocol
// describes them (https://kafka.apache.org/protocol), in memory.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kafka_wire.hpp"

namespace sluice::test {

// A kind of request that is the test's own: a text that asks.
inline constexpr std::int64_t kAskTransactionLog = 1000;

// The connection ends here, as the test has asked.
struct KafkaCut {};

class KafkaTransactionLog {
 public:
  KafkaTransactionLog(std::string topic, int partitions, int port)
      : topic_{std::move(topic)}, logs_(static_cast<std::size_t>(partitions)), port_{port} {}

  // Nothing for one that is not answered. Throws where the connection is to end: of what it does not know, too.
  std::optional<std::string> answer(std::string_view request);

 private:
  using Reader = KafkaReadBuffer;
  using Writer = KafkaWriteBuffer;
  struct Message {
    std::int64_t producer = 0;
    std::string value;
    enum class Fate { open, committed, aborted } fate = Fate::open;
  };
  struct Offset {
    std::int64_t offset = -1;
    std::string metadata;
  };
  using OffsetKey = std::pair<std::string, std::int64_t>;  // Group and partition.
  struct Producer {
    std::int64_t id = 0;
    std::int64_t epoch = -1;
    bool open = false;  // A transaction.
    std::map<OffsetKey, Offset> offsets;
    std::map<std::int64_t, std::int64_t> sequences;  // By partition: the next one.
  };

  static void versions(std::int64_t version, Writer& out);
  void metadata(Reader& in, Writer& out) const;
  void coordinator(std::int64_t version, Writer& out) const;
  void begin_producer(Reader& in, Writer& out);
  Producer* producer_of(Reader& in);
  Producer* checked(const std::string& id, Reader& in);
  static std::int64_t open(Producer* producer);
  void add_partitions(Reader& in, Writer& out);
  void add_offsets(Reader& in, Writer& out);
  void end(Reader& in, Writer& out);
  void perhaps_cut(unsigned of_eight) const;
  void finish(Producer& producer, bool commit);
  void produce(Reader& in, Writer& out);
  std::int64_t append(const std::string& id, std::int64_t partition, const std::string& batch);
  bool is_unstable(const OffsetKey& key) const;
  void fetch_offsets(Reader& in, Writer& out) const;
  void tell(const std::string& what, Writer& out);

  std::string topic_;
  std::vector<std::vector<Message>> logs_;
  std::map<std::string, Producer> producers_;  // By transactional id.
  std::map<OffsetKey, Offset> offsets_;
  int port_;
  bool holds_ends_ = false;
  bool cuts_ends_ = false;
  unsigned ends_ = 0;
};

}  // namespace sluice::test
