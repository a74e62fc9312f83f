// SPDX-License-Identifier: Apache-2.0
// Kafka: KafkaSink beside a program that sends the same messages with the library, a transaction for each batch, and one that moves an
// offset in it besides; KafkaSource beside one that polls a consumer with the same settings.
//
// The cluster is the library's mock, in a process of its own: it keeps all in memory, and ends a transaction by an answer. So these say
// what the library and the pipeline cost before a broker that costs next to nothing, and nothing of a real one.
#include <array>
#include <filesystem>
#include <fstream>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <memory>
#include <string>
#include <unistd.h>
#include <utility>
#include <vector>

#include <sluice/connect/kafka_sink.hpp>
#include <sluice/connect/kafka_source.hpp>
#include <sluice/error.hpp>
#include <sluice/sluice.hpp>

#include "apart.hpp"
#include "child_run.hpp"
#include "guarded_directory.hpp"
#include "stores.hpp"

namespace sluice::bench {
namespace {

// The mock keeps 5 MiB of each: more than a run has.
constexpr int kPartitions = 4;  // Of a topic that the mock makes since somebody asks for it.
constexpr int kTimeoutMs = 10'000;

using Config = std::vector<std::pair<const char*, std::string>>;

[[noreturn]] void fail(const char* text) {
  throw Error{{"use", "Kafka", text, "look at the version of librdkafka"}};
}
void check(rd_kafka_error_t* error) {
  if (error != nullptr) fail(rd_kafka_error_string(error));
}
void check(rd_kafka_resp_err_t code) {
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) fail(rd_kafka_err2str(code));
}

// The library, in this process.
class PlainKafka {
 public:
  PlainKafka(rd_kafka_type_t type, const Config& settings, const std::string& topic) {
    rd_kafka_conf_t* config = rd_kafka_conf_new();
    std::array<char, 256> text{};
    rd_kafka_conf_set_log_cb(config, nullptr);
    // Without it the library looks every 10 ms whether all has arrived.
    if (type == RD_KAFKA_PRODUCER) rd_kafka_conf_set_dr_msg_cb(config, &on_delivery);
    for (const auto& [name, value] : settings) {
      if (rd_kafka_conf_set(config, name, value.c_str(), text.data(), text.size()) != RD_KAFKA_CONF_OK)
        fail(text.data());
    }
    handle_ = rd_kafka_new(type, config, text.data(), text.size());
    if (handle_ == nullptr) fail(text.data());
    topic_ = rd_kafka_topic_new(handle_, topic.c_str(), nullptr);
  }
  ~PlainKafka() {
    rd_kafka_topic_destroy(topic_);
    rd_kafka_destroy(handle_);
  }
  PlainKafka(const PlainKafka&) = delete;
  PlainKafka& operator=(const PlainKafka&) = delete;

  rd_kafka_t* get() const noexcept { return handle_; }
  // So that the first message need not wait for what the library asks in its own time.
  void look_at_topic() const {
    const struct rd_kafka_metadata* found = nullptr;
    check(rd_kafka_metadata(handle_, 0, topic_, &found, kTimeoutMs));
    rd_kafka_metadata_destroy(found);
  }
  void send(std::string_view value, std::int32_t partition) const {
    while (rd_kafka_produce(topic_, partition, RD_KAFKA_MSG_F_COPY, const_cast<char*>(value.data()),
                            value.size(), nullptr, 0, nullptr) != 0) {
      if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) check(rd_kafka_last_error());
      rd_kafka_poll(handle_, 1);
    }
  }

 private:
  // Called by C, which throws nothing.
  static void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) ::_exit(3);
  }

  rd_kafka_t* handle_ = nullptr;
  rd_kafka_topic_t* topic_ = nullptr;
};

// Reads all partitions; `take` says whether it wants more.
template <class Take>
void read_all(const std::string& brokers, const std::string& topic, const Take& take) {
  const PlainKafka kafka{RD_KAFKA_CONSUMER,
                         {{"bootstrap.servers", brokers},
                          {"group.id", "plain"},
                          {"enable.auto.commit", "false"},
                          {"enable.auto.offset.store", "false"},
                          {"isolation.level", "read_committed"},
                          {"enable.partition.eof", "true"}},
                         topic};
  rd_kafka_poll_set_consumer(kafka.get());
  rd_kafka_topic_partition_list_t* all = rd_kafka_topic_partition_list_new(kPartitions);
  for (int partition = 0; partition < kPartitions; ++partition)
    rd_kafka_topic_partition_list_add(all, topic.c_str(), partition)->offset = RD_KAFKA_OFFSET_BEGINNING;
  check(rd_kafka_assign(kafka.get(), all));
  rd_kafka_topic_partition_list_destroy(all);
  for (int at_end = 0; at_end < kPartitions;) {
    rd_kafka_message_t* message = rd_kafka_consumer_poll(kafka.get(), kTimeoutMs);
    if (message == nullptr) fail("nothing comes any more");
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      ++at_end;
    } else {
      check(message->err);
      take({static_cast<const char*>(message->payload), message->len});
    }
    rd_kafka_message_destroy(message);
  }
  rd_kafka_consumer_close(kafka.get());
}

[[noreturn]] void become_cluster(const std::filesystem::path& directory) {
  const PlainKafka kafka{RD_KAFKA_PRODUCER, {{"bootstrap.servers", "127.0.0.1:1"}}, "none"};
  rd_kafka_mock_cluster_t* cluster = rd_kafka_mock_cluster_new(kafka.get(), 1);
  std::ofstream{directory / "new"} << rd_kafka_mock_cluster_bootstraps(cluster);
  std::filesystem::rename(directory / "new", directory / "brokers");
  while (true)
    ::pause();
}

// A handler that sends each row.
class KafkaRows {
 public:
  KafkaRows(Worker& worker, const KafkaSinkOptions& options) : sink_{worker, options} {}
  void operator()(const StoredRow& row) { sink_.publish({reinterpret_cast<const char*>(&row), sizeof(row)}); }

 private:
  KafkaSink sink_;
};

class KafkaRun {
 public:
  KafkaRun() {
    constexpr unsigned kPauseUs = 1000;
    constexpr int kTries = 10'000;
    const std::filesystem::path said = cluster_.path() / "brokers";
    for (int i = 0; i < kTries && !std::filesystem::exists(said); ++i)
      ::usleep(kPauseUs);
    std::ifstream{said} >> brokers_;
    if (brokers_.empty()) fail("the mock cluster does not start");
  }

  // Another topic, since the mock removes none.
  void empty() { topic_ = "rows-" + std::to_string(++topics_); }

  void sink(const Stream<StoredRow>& rows) const {
    KafkaSinkOptions options;
    options.server.brokers = brokers_;
    options.topic = topic_;
    rows.to<KafkaRows>("store", options);
  }

  // `offset`: as a program that keeps in the cluster how far it is.
  void plain(std::uint64_t rows, bool offset) const {
    const PlainKafka kafka{
        RD_KAFKA_PRODUCER, {{"bootstrap.servers", brokers_}, {"transactional.id", "plain"}}, topic_};
    kafka.look_at_topic();
    check(rd_kafka_init_transactions(kafka.get(), kTimeoutMs));
    told().begin();  // As in the pipeline, where the first row is made once the sink has its place.
    for (std::uint64_t number = 0; number < rows;) {
      check(rd_kafka_begin_transaction(kafka.get()));
      for (std::uint64_t i = 0; i < kRowsABatch && number < rows; ++i) {
        const StoredRow row = stored_row(number++);
        kafka.send({reinterpret_cast<const char*>(&row), sizeof(row)}, RD_KAFKA_PARTITION_UA);
      }
      if (offset) move_offset(kafka, topic_, static_cast<std::int64_t>(number));
      check(rd_kafka_commit_transaction(kafka.get(), kTimeoutMs));
    }
  }

  StoredSum sum() const {
    return apart([this] {
      StoredSum sum;
      read_all(brokers_, topic_, [&](std::string_view value) {
        StoredRow row;
        value.copy(reinterpret_cast<char*>(&row), sizeof(row));
        ++sum.rows;
        sum.numbers += row.number;
      });
      return sum;
    });
  }

  // The topic has these lines, each a message.
  void fill(std::uint64_t rows) {
    empty();
    apart([this, rows]() -> StoredSum {
      const PlainKafka kafka{RD_KAFKA_PRODUCER, {{"bootstrap.servers", brokers_}}, topic_};
      for (std::uint64_t number = 0; number < rows; ++number)
        kafka.send(stored_line(number), static_cast<std::int32_t>(number % kPartitions));
      check(rd_kafka_flush(kafka.get(), kTimeoutMs));
      return {};
    });
  }

  void read_by_source(std::uint64_t rows) const {
    KafkaSourceOptions options;
    options.server.brokers = brokers_;
    options.topic = topic_;
    options.follow = false;
    Pipeline pipeline{"bench"};
    pipeline.source<KafkaSource>("read", options).to<CountRead<Bytes>>("count", rows);
    run_to_its_end(pipeline);
  }

  void read_by_program(std::uint64_t rows) const {
    read_all(brokers_, topic_, [rows](std::string_view line) { note_read(line, rows); });
  }

 private:
  static void move_offset(const PlainKafka& kafka, const std::string& topic, std::int64_t to) {
    rd_kafka_topic_partition_list_t* offsets = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(offsets, topic.c_str(), 0)->offset = to;
    rd_kafka_consumer_group_metadata_t* group = rd_kafka_consumer_group_metadata_new("plain");
    check(rd_kafka_send_offsets_to_transaction(kafka.get(), offsets, group, kTimeoutMs));
    rd_kafka_consumer_group_metadata_destroy(group);
    rd_kafka_topic_partition_list_destroy(offsets);
  }

  GuardedDirectory cluster_{"kafka", &become_cluster};
  std::string brokers_;
  std::string topic_;
  int topics_ = 0;
};

}  // namespace

std::vector<StoreRuns> kafka_runs(bool quick) {
  const auto run = std::make_shared<KafkaRun>();
  return {{"kafka",
           "cluster:mock",
           quick ? 20'000U : 160'000U,
           [run] { run->empty(); },
           [run](const Stream<StoredRow>& stream) { run->sink(stream); },
           [run](std::uint64_t count) { run->plain(count, false); },
           [run] { return run->sum(); },
           {{"plain_with_offsets", [run](std::uint64_t count) { run->plain(count, true); }}}}};
}

std::vector<SourceRuns> kafka_source_runs(bool quick) {
  const auto run = std::make_shared<KafkaRun>();
  const std::uint64_t rows = quick ? 20'000 : 200'000;
  return {{"kafka_source", "cluster:mock", rows, [run, rows] { run->fill(rows); },
           [run, rows] { run->read_by_source(rows); }, [run, rows] { run->read_by_program(rows); }}};
}

}  // namespace sluice::bench
