// SPDX-License-Identifier: Apache-2.0
// How KafkaReader and KafkaSource read a topic: which partitions are the worker's, where it goes on, and how it waits.
#include <algorithm>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>
#include <sluice/error.hpp>
#include <sluice/unavailable.hpp>

#include "kafka_client.hpp"
#include "sluice/connect/kafka_source.hpp"

namespace sluice {
namespace {

constexpr std::chrono::seconds kWait{1};
constexpr std::chrono::seconds kLookForPartitions{30};
// The row of the offsets that has how many partitions the topic had at the last look.
constexpr std::int32_t kPartitions = -1;
constexpr const char* kMadeAnew =
    "the topic was made anew, or has lost messages; start the pipeline anew to read what is there";

class Rung {
 public:
  Rung() : fd_{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)} {
    if (fd_ < 0) throw Error{{"make", "an eventfd", errno_text(), "raise the limit of open files"}};
  }
  ~Rung() { ::close(fd_); }
  Rung(const Rung&) = delete;
  Rung& operator=(const Rung&) = delete;

  int fd() const noexcept { return fd_; }
  void clear() const {
    std::uint64_t rings = 0;
    [[maybe_unused]] const ssize_t got = ::read(fd_, &rings, sizeof(rings));
  }

 private:
  int fd_;
};

}  // namespace

class KafkaReader::Impl {
 public:
  Impl(Worker& worker, KafkaSourceOptions options);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  const KafkaRecord* next();
  bool ended() const noexcept { return !options_.follow && at_end_.size() == assigned_.size(); }

 private:
  std::string object() const {
    return fmt::format("the topic {} of {}", options_.topic, detail::kafka_where(options_.server));
  }
  std::int64_t first_of(std::int32_t partition);
  bool is_added(std::int32_t partition) const;
  void assign(int partitions);
  void look_for_partitions();
  void note_first();
  void pass_what_is_for_nobody(std::int32_t partition, std::int64_t end);
  bool accept(const rd_kafka_message_t& message);
  [[noreturn]] void fail(const rd_kafka_message_t& message);
  void refuse_an_offset_that_is_gone(std::int32_t partition);

  Worker& worker_;
  const KafkaSourceOptions options_;
  Table<std::int32_t, std::int64_t> next_;  // By partition: the offset that is to be handled next.
  Rung rung_;
  detail::KafkaHandlePtr consumer_;
  detail::KafkaQueuePtr queue_;
  std::map<std::int32_t, std::int64_t> first_;  // Not in the table yet.
  std::set<std::int32_t> assigned_;
  std::set<std::int32_t> at_end_;
  int partitions_ = 0;
  unsigned messages_ = 0;
  std::chrono::steady_clock::time_point looked_;
  detail::KafkaMessagePtr message_;
  KafkaRecord record_;
};

KafkaReader::Impl::Impl(Worker& worker, KafkaSourceOptions options)
    : worker_{worker},
      options_{std::move(options)},
      next_{worker.table<std::int32_t, std::int64_t>("kafka offsets", options_.most_partitions + 1)} {
  if (options_.follow) worker.declare_endless();
  const auto call = worker.outside(60 * options_.server.timeout);
  consumer_ = detail::kafka_handle(
      RD_KAFKA_CONSUMER,
      detail::kafka_config(
          options_.server,
          // No group is joined: the library wants a name all the same.
          {{"group.id", fmt::format("sluice/{}/{}/{}", worker.pipeline(), worker.stage(), worker.replica())},
           {"enable.auto.commit", "false"},
           {"enable.auto.offset.store", "false"},
           {"isolation.level", "read_committed"},
           {"auto.offset.reset", "error"},
           {"enable.partition.eof", "true"}}),
      options_.server);
  rd_kafka_poll_set_consumer(consumer_.get());
  queue_.reset(rd_kafka_queue_get_consumer(consumer_.get()));
  static constexpr std::uint64_t kOne = 1;
  rd_kafka_queue_io_event_enable(queue_.get(), rung_.fd(), &kOne, sizeof(kOne));
  assign(detail::kafka_partitions(consumer_.get(), options_.server, options_.topic));
}

KafkaReader::Impl::~Impl() {
  rd_kafka_queue_io_event_enable(queue_.get(), -1, nullptr, 0);
  message_.reset();
  queue_.reset();
  rd_kafka_consumer_close(consumer_.get());
}

// Where a partition begins for this pipeline. From then on it is known, so that a death before the first message changes nothing.
std::int64_t KafkaReader::Impl::first_of(std::int32_t partition) {
  std::int64_t low = 0;
  std::int64_t high = 0;
  const rd_kafka_resp_err_t code =
      rd_kafka_query_watermark_offsets(consumer_.get(), options_.topic.c_str(), partition, &low, &high,
                                       static_cast<int>(options_.server.timeout.count()));
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) detail::kafka_fail("read", object(), code, rd_kafka_err2str(code));
  first_[partition] = options_.from_beginning || is_added(partition) ? low : high;
  return first_[partition];
}

// One that was added since the pipeline began holds nothing that is older, also when it was found by a start.
bool KafkaReader::Impl::is_added(std::int32_t partition) const {
  const std::int64_t* known = next_.find(kPartitions);
  // An earlier version kept the offsets alone.
  return known != nullptr ? partition >= *known : next_.size() != 0;
}

void KafkaReader::Impl::assign(int partitions) {
  // A broker may not have heard yet of those that were added.
  if (const std::int64_t* had = next_.find(kPartitions); had != nullptr && *had > partitions) {
    throw Unavailable{fmt::format("{} has {}, and had {}: if it stays so, {}", object(),
                                  detail::counted(static_cast<std::uint64_t>(partitions), "partition"), *had,
                                  kMadeAnew)};
  }
  partitions_ = partitions;
  looked_ = std::chrono::steady_clock::now();
  const detail::KafkaPartitionsPtr wanted{rd_kafka_topic_partition_list_new(partitions)};
  for (std::int32_t partition = 0; partition < partitions; ++partition) {
    if (static_cast<unsigned>(partition) % worker_.replicas() != worker_.replica()) continue;
    const std::int64_t* known = next_.find(partition);
    rd_kafka_topic_partition_list_add(wanted.get(), options_.topic.c_str(), partition)->offset =
        known != nullptr ? *known : first_of(partition);
  }
  first_[kPartitions] = partitions;
  for (int i = 0; i < wanted->cnt; ++i)
    assigned_.insert(wanted->elems[i].partition);
  at_end_.clear();
  const rd_kafka_resp_err_t code = rd_kafka_assign(consumer_.get(), wanted.get());
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) detail::kafka_fail("read", object(), code, rd_kafka_err2str(code));
}

void KafkaReader::Impl::look_for_partitions() {
  if (!options_.follow || std::chrono::steady_clock::now() - looked_ < kLookForPartitions) return;
  const auto call = worker_.outside(2 * options_.server.timeout);
  looked_ = std::chrono::steady_clock::now();
  const int partitions = detail::kafka_partitions(consumer_.get(), options_.server, options_.topic);
  if (partitions <= partitions_) return;
  assign(partitions);
  note_first();
}

const KafkaRecord* KafkaReader::Impl::next() {
  note_first();
  // Also of a topic that always has a message at hand.
  constexpr unsigned kMessagesBetweenLooks = 1024;
  if (++messages_ % kMessagesBetweenLooks == 0) look_for_partitions();
  while (!ended()) {
    message_.reset(rd_kafka_consumer_poll(consumer_.get(), 0));
    if (message_) {
      if (accept(*message_)) return &record_;
      continue;
    }
    look_for_partitions();
    rung_.clear();
    // What came before the descriptor was cleared is looked for once more.
    message_.reset(rd_kafka_consumer_poll(consumer_.get(), 0));
    if (message_ && accept(*message_)) return &record_;
    if (!message_ && !worker_.wait_for(rung_.fd(), kWait)) return nullptr;
  }
  return nullptr;
}

void KafkaReader::Impl::note_first() {
  for (const auto& [partition, offset] : first_)
    next_[partition] = offset;
  first_.clear();
}

// Behind the last message stand ends of transactions, and what was given up. Retention may take those, too: a start that would go on
// in front of them could not tell them from messages that it has missed.
void KafkaReader::Impl::pass_what_is_for_nobody(std::int32_t partition, std::int64_t end) {
  const std::int64_t* known = next_.find(partition);
  if (known != nullptr && *known < end) next_[partition] = end;
}

bool KafkaReader::Impl::accept(const rd_kafka_message_t& message) {
  if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    at_end_.insert(message.partition);
    pass_what_is_for_nobody(message.partition, message.offset);
    return false;
  }
  if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) fail(message);
  at_end_.erase(message.partition);
  const std::int64_t* known = next_.find(message.partition);
  // Offsets have gaps: ends of transactions, and what compaction took.
  if (known != nullptr && message.offset < *known) {
    throw Error{{"go on reading", object(),
                 fmt::format("offset {} of partition {} came, and {} was handled", message.offset,
                             message.partition, *known - 1),
                 kMadeAnew}};
  }
  next_[message.partition] = message.offset + 1;
  rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
  record_ = {{static_cast<const char*>(message.key), message.key_len},
             {static_cast<const char*>(message.payload), message.len},
             message.partition,
             message.offset,
             rd_kafka_message_timestamp(&message, &type)};
  return true;
}

void KafkaReader::Impl::fail(const rd_kafka_message_t& message) {
  if (message.err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
      message.err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
    refuse_an_offset_that_is_gone(message.partition);
  const char* text = rd_kafka_message_errstr(&message);
  detail::kafka_fail("read", object(), message.err, text != nullptr ? text : rd_kafka_err2str(message.err));
}

// The cluster says only that it is not there. Returns where it does not say of what it has.
void KafkaReader::Impl::refuse_an_offset_that_is_gone(std::int32_t partition) {
  const std::int64_t* next = next_.find(partition);
  const auto call = worker_.outside(2 * options_.server.timeout);
  std::int64_t low = 0;
  std::int64_t high = 0;
  const rd_kafka_resp_err_t code =
      rd_kafka_query_watermark_offsets(consumer_.get(), options_.topic.c_str(), partition, &low, &high,
                                       static_cast<int>(options_.server.timeout.count()));
  if (next == nullptr || code != RD_KAFKA_RESP_ERR_NO_ERROR) return;
  if (high < *next) {
    throw Error{
        {"go on reading", object(),
         fmt::format("partition {} ends at offset {}, and {} is to be read next", partition, high, *next),
         kMadeAnew}};
  }
  if (low > *next) {
    throw Error{
        {"go on reading", object(),
         fmt::format(
             "partition {} begins at offset {}, and {} is to be read next: what is between was removed",
             partition, low, *next),
         "raise retention.ms and retention.bytes of the topic, and start the pipeline anew"}};
  }
}

KafkaReader::KafkaReader(Worker& worker, KafkaSourceOptions options)
    : impl_{std::make_unique<Impl>(worker, std::move(options))} {}
KafkaReader::~KafkaReader() = default;

const KafkaRecord* KafkaReader::next() {
  return impl_->next();
}
bool KafkaReader::ended() const noexcept {
  return impl_->ended();
}

KafkaSource::KafkaSource(Worker& worker, KafkaSourceOptions options) : reader_{worker, std::move(options)} {}

SourceState KafkaSource::operator()(Output<Bytes>& out) {
  if (const KafkaRecord* record = reader_.next()) {
    out.push(Bytes{record->value});
    return SourceState::more;
  }
  return reader_.ended() ? SourceState::end : SourceState::nothing_now;
}

}  // namespace sluice
