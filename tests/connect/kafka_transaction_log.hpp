// SPDX-License-Identifier: Apache-2.0
// What KafkaBroker answers: the requests of a transactional producer, of who reads the offsets of a group, and of who reads messages,
// as the protocol describes them (https://kafka.apache.org/protocol), in memory: the same requests in the same order make the same of it.
// It knows no users.
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

// What who ends a transaction hears: nothing where it is held, and stays open, nor where it ends and nobody is told.
enum class KafkaEnds { answered, held, unanswered };

// The connection ends here, as the test has asked.
struct KafkaCut {};

class KafkaTransactionLog {
 public:
  KafkaTransactionLog(std::string topic, int partitions, int port)
      : topic_{std::move(topic)},
        logs_(static_cast<std::size_t>(partitions)),
        begins_(logs_.size()),
        port_{port} {}

  // Whether it is one that leaves something behind.
  bool changes(std::string_view request) const;
  // Nothing for one that is not answered. Throws where the connection is to end: of what it does not know, too.
  std::optional<std::string> answer(std::string_view request);
  // Whether the last answer tells a reader that nothing is there yet: a broker keeps it back for a while.
  bool had_nothing() const noexcept { return !has_something_; }

 private:
  using Reader = KafkaReadBuffer;
  using Writer = KafkaWriteBuffer;
  // The end of a transaction takes an offset in each partition that it has written to, and is no message.
  struct Message {
    std::int64_t producer = 0;
    std::string value;
    enum class Fate { open, committed, aborted } fate = Fate::open;
    bool is_end = false;
  };
  using Log = std::vector<Message>;
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
  static void refuse_user(std::int64_t kind, Writer& out);
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
  static void finish(Log& log, std::int64_t producer, bool commit);
  void finish(Producer& producer, bool commit);
  void produce(Reader& in, Writer& out);
  std::int64_t append(const std::string& id, std::int64_t partition, const std::string& batch);
  bool is_unstable(const OffsetKey& key) const;
  void fetch_offsets(Reader& in, Writer& out) const;
  static std::size_t stable_end(const Log& log);
  void list_offsets(Reader& in, Writer& out) const;
  void fetch(Reader& in, Writer& out);
  void fetch(std::size_t partition, std::int64_t offset, Writer& out);
  void write(const std::string& what);
  void finish_written(bool commit);
  void tell(const std::string& what, Writer& out);

  std::string topic_;
  std::vector<Log> logs_;
  std::vector<std::size_t> begins_;            // Of each of them: what is before it was removed.
  std::map<std::string, Producer> producers_;  // By transactional id.
  std::map<OffsetKey, Offset> offsets_;
  int port_;
  KafkaEnds ends_ = KafkaEnds::answered;
  unsigned unanswered_ = 0;
  bool cuts_ends_ = false;
  unsigned ended_ = 0;
  bool has_something_ = true;
  // Producers that are the test's own.
  static constexpr std::int64_t kFirstWriter = 1'000'001;
  std::int64_t writers_ = kFirstWriter - 1;
};

}  // namespace sluice::test
