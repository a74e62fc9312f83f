// SPDX-License-Identifier: Apache-2.0
// How KafkaStore has a batch in one transaction: its messages, and its watermarks as the metadata of an offset.
#include <algorithm>
#include <array>
#include <cstdlib>
#include <numeric>
#include <tuple>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/refused.hpp>

#include "kafka_client.hpp"
#include "kafka_marks.hpp"
#include "sluice/connect/kafka_sink.hpp"

namespace sluice {
namespace {

constexpr std::size_t kMostMetadata = 4096;

// The library counts the headers of a message, too.
std::size_t largest_message(const rd_kafka_conf_t* config) {
  constexpr std::size_t kHeaderBytes = 100;
  std::array<char, 32> text{};
  std::size_t size = text.size();
  if (rd_kafka_conf_get(config, "message.max.bytes", text.data(), &size) != RD_KAFKA_CONF_OK) return SIZE_MAX;
  const std::size_t most = std::strtoull(text.data(), nullptr, 10);
  return most > kHeaderBytes ? most - kHeaderBytes : 0;
}

}  // namespace

class KafkaStore::Impl {
 public:
  explicit Impl(KafkaSinkOptions options) : options_{std::move(options)} {}

  const KafkaSinkOptions& options() const noexcept { return options_; }
  SinkClaim claim(const SinkOwner& owner);
  void apply(const SinkBatch<Effect>& batch);

 private:
  std::string object() const {
    return fmt::format("the topic {} of {}", options_.topic, detail::kafka_where(options_.server));
  }
  int timeout_ms() const noexcept { return static_cast<int>(options_.server.timeout.count()); }
  void must(rd_kafka_error_t* error) const;
  detail::KafkaHandlePtr reader_of_marks(const char* isolation) const;
  detail::KafkaProgress committed(rd_kafka_t* reader, const SinkOwner& owner) const;
  void refuse_what_is_too_large(const SinkBatch<Effect>& batch);
  [[noreturn]] void refuse(const SinkBatch<Effect>& batch) const;
  void produce(const SinkBatch<Effect>& batch);
  void send_marks(const SinkBatch<Effect>& batch);
  void abort() const;
  static void on_delivery(rd_kafka_t* handle, const rd_kafka_message_t* message, void* store);

  const KafkaSinkOptions options_;
  std::string id_;  // Of the transactions and of the group.
  detail::KafkaMarks marks_;
  std::int64_t transactions_ = 0;
  std::vector<std::size_t> indices_;  // 0, 1, 2 ...: what a delivery report points to.
  std::size_t largest_ = 0;           // Key and value, in bytes.
  rd_kafka_resp_err_t undelivered_ =
      RD_KAFKA_RESP_ERR_NO_ERROR;  // Of the batch: what came of the first message that failed.
  std::vector<std::pair<std::size_t, std::string>> refused_;  // Of the batch: which effect, and why.
  detail::KafkaHandlePtr producer_;
  detail::KafkaTopicPtr topic_;
};

void KafkaStore::Impl::must(rd_kafka_error_t* made) const {
  if (made == nullptr) return;
  const detail::KafkaErrorPtr error{made};
  rd_kafka_resp_err_t code = rd_kafka_error_code(made);
  std::string text = rd_kafka_error_string(made);
  if (code == RD_KAFKA_RESP_ERR__FATAL) {
    std::array<char, 512> fatal{};
    code = rd_kafka_fatal_error(producer_.get(), fatal.data(), fatal.size());
    text = fatal.data();
  }
  // What came too late for a transaction that had failed by then: the library keeps what it failed of.
  if (code == RD_KAFKA_RESP_ERR__STATE) {
    const detail::KafkaErrorPtr kept{rd_kafka_begin_transaction(producer_.get())};
    if (kept && rd_kafka_error_code(kept.get()) != RD_KAFKA_RESP_ERR__STATE) {
      code = rd_kafka_error_code(kept.get());
      text = rd_kafka_error_string(kept.get());
    }
  }
  // A transaction that fails says not always what was wrong with its messages.
  if (undelivered_ != RD_KAFKA_RESP_ERR_NO_ERROR) {
    code = undelivered_;
    text = fmt::format("{}: {}", rd_kafka_err2str(undelivered_), text);
  }
  detail::kafka_fail("send to", object(), code, text);
}

void KafkaStore::Impl::on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* store) {
  Impl& self = *static_cast<Impl*>(store);
  switch (message->err) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
    // Given up with the transaction, whatever was wrong with that.
    case RD_KAFKA_RESP_ERR__PURGE_QUEUE:
    case RD_KAFKA_RESP_ERR__PURGE_INFLIGHT:
      return;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
      self.refused_.emplace_back(*static_cast<const std::size_t*>(message->_private),
                                 rd_kafka_err2str(message->err));
      return;
    default:
      if (self.undelivered_ == RD_KAFKA_RESP_ERR_NO_ERROR) self.undelivered_ = message->err;
  }
}

SinkClaim KafkaStore::Impl::claim(const SinkOwner& owner) {
  id_ = fmt::format("sluice/{}/{}/{}", owner.name, owner.stage, owner.replica);
  auto config = detail::kafka_config(
      options_.server, {{"transactional.id", id_},
                        {"transaction.timeout.ms", std::to_string(std::max(timeout_ms(), 10'000))},
                        {"message.timeout.ms", std::to_string(timeout_ms())}});
  rd_kafka_conf_set_opaque(config.get(), this);
  rd_kafka_conf_set_dr_msg_cb(config.get(), &Impl::on_delivery);
  largest_ = largest_message(config.get());
  producer_ = detail::kafka_handle(RD_KAFKA_PRODUCER, std::move(config), options_.server);
  std::ignore = detail::kafka_partitions(producer_.get(), options_.server, options_.topic);
  topic_.reset(rd_kafka_topic_new(producer_.get(), options_.topic.c_str(), nullptr));
  // A later start of this run is not fenced. A transaction that a predecessor has left open is not waited for: it is ended below, and
  // by the cluster only once its time is over.
  std::ignore = committed(reader_of_marks("read_uncommitted").get(), owner);
  // Ends what a predecessor has begun, and fences it.
  must(rd_kafka_init_transactions(producer_.get(), timeout_ms()));
  // Here one that it had committed is waited for: the offset follows the transaction a little later.
  marks_ = committed(reader_of_marks("read_committed").get(), owner).marks;
  SinkClaim claim;
  for (const auto& [origin, end] : marks_)
    claim.watermarks.push_back({origin, end});
  return claim;
}

// Of uncommitted, too, it gives what is committed. Of committed it waits for transactions that are under way.
detail::KafkaHandlePtr KafkaStore::Impl::reader_of_marks(const char* isolation) const {
  return detail::kafka_handle(RD_KAFKA_CONSUMER,
                              detail::kafka_config(options_.server, {{"group.id", id_},
                                                                     {"isolation.level", isolation},
                                                                     {"enable.auto.commit", "false"}}),
                              options_.server);
}

// By the transactions that are over; throws if one of them is of a later start of the owner's run.
detail::KafkaProgress KafkaStore::Impl::committed(rd_kafka_t* reader, const SinkOwner& owner) const {
  const detail::KafkaPartitionsPtr partitions{rd_kafka_topic_partition_list_new(1)};
  rd_kafka_topic_partition_list_add(partitions.get(), options_.topic.c_str(), 0);
  const rd_kafka_resp_err_t code = rd_kafka_committed(reader, partitions.get(), timeout_ms());
  const rd_kafka_topic_partition_t& found = partitions->elems[0];
  for (const rd_kafka_resp_err_t error : {code, found.err}) {
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR)
      detail::kafka_fail("read the watermarks for", object(), error, rd_kafka_err2str(error));
  }
  if (found.offset < 0 || found.metadata == nullptr) return {};
  detail::KafkaProgress progress =
      detail::progress_in({static_cast<const char*>(found.metadata), found.metadata_size}, owner.origin);
  if (progress.life > owner.life) {
    throw Error{{"send to", object(), "a later start of the same run has taken over as " + id_,
                 "end this pipeline: the other one goes on with its work"}};
  }
  return progress;
}

void KafkaStore::Impl::abort() const {
  const detail::KafkaErrorPtr ignored{rd_kafka_abort_transaction(producer_.get(), timeout_ms())};
}

// Known before anything is sent: a transaction that would be given up is not begun.
void KafkaStore::Impl::refuse_what_is_too_large(const SinkBatch<Effect>& batch) {
  for (std::size_t index = 0; index < batch.effects.size(); ++index) {
    const Effect& message = batch.effects[index].effect;
    const std::size_t size = message.key.size() + message.value.size();
    if (size <= largest_) continue;
    refused_.emplace_back(
        index, fmt::format("a message of {} bytes is too large: message.max.bytes is {}", size, largest_));
  }
  if (!refused_.empty()) refuse(batch);
}

void KafkaStore::Impl::refuse(const SinkBatch<Effect>& batch) const {
  std::vector<RefusedEvent> events;
  for (const auto& [index, why] : refused_) {
    const EventId& event = batch.effects[index].event;
    if (std::none_of(events.begin(), events.end(),
                     [&](const RefusedEvent& known) { return known.id == event; }))
      events.push_back({event, fmt::format("{}: {}", object(), why)});
  }
  throw Refused{std::move(events)};
}

void KafkaStore::Impl::apply(const SinkBatch<Effect>& batch) {
  refused_.clear();
  undelivered_ = RD_KAFKA_RESP_ERR_NO_ERROR;
  refuse_what_is_too_large(batch);
  must(rd_kafka_begin_transaction(producer_.get()));
  try {
    produce(batch);
    send_marks(batch);
    // The remaining time of the transaction: another would lose its state.
    rd_kafka_error_t* error = refused_.empty() ? rd_kafka_commit_transaction(producer_.get(), -1) : nullptr;
    if (error != nullptr && rd_kafka_error_is_retriable(error) != 0 &&
        rd_kafka_error_txn_requires_abort(error) == 0) {
      rd_kafka_error_destroy(error);
      error = rd_kafka_commit_transaction(producer_.get(), -1);
    }
    if (refused_.empty()) must(error);
    if (!refused_.empty() && error != nullptr) rd_kafka_error_destroy(error);
  } catch (...) {
    if (refused_.empty()) throw;
  }
  if (refused_.empty()) return;
  abort();
  refuse(batch);
}

void KafkaStore::Impl::produce(const SinkBatch<Effect>& batch) {
  constexpr int kPauseMs = 10;
  indices_.resize(batch.effects.size());
  std::iota(indices_.begin(), indices_.end(), std::size_t{0});
  for (std::size_t index = 0; index < batch.effects.size(); ++index) {
    const Effect& message = batch.effects[index].effect;
    rd_kafka_resp_err_t code = RD_KAFKA_RESP_ERR_NO_ERROR;
    const auto until = std::chrono::steady_clock::now() + options_.server.timeout;
    do {
      // The library promises not to change what it copies.
      const int taken = rd_kafka_produce(topic_.get(), RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                                         const_cast<char*>(message.value.data()), message.value.size(),
                                         message.key.empty() ? nullptr : message.key.data(),
                                         message.key.size(), &indices_[index]);
      code = taken == 0 ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_last_error();
      if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) rd_kafka_poll(producer_.get(), kPauseMs);
    } while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && std::chrono::steady_clock::now() < until);
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
      refused_.emplace_back(
          index, fmt::format("a message of {} bytes: {}", message.value.size(), rd_kafka_err2str(code)));
    } else if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
      detail::kafka_fail("send to", object(), code, rd_kafka_err2str(code));
    }
  }
}

void KafkaStore::Impl::send_marks(const SinkBatch<Effect>& batch) {
  for (const WatermarkMove& mark : batch.watermarks)
    marks_[mark.origin] = mark.end;
  const std::string metadata = detail::to_metadata(batch.owner.origin, {batch.owner.life, marks_});
  if (metadata.size() > kMostMetadata) {
    throw Error{{"send to", object(), fmt::format("the watermarks of {} lanes are too long", marks_.size()),
                 "give the stage fewer lanes: fewer workers before it"}};
  }
  const detail::KafkaPartitionsPtr offsets{rd_kafka_topic_partition_list_new(1)};
  rd_kafka_topic_partition_t* offset =
      rd_kafka_topic_partition_list_add(offsets.get(), options_.topic.c_str(), 0);
  offset->offset = ++transactions_;
  offset->metadata_size = metadata.size();
  offset->metadata = rd_kafka_mem_malloc(producer_.get(), metadata.size());  // The list frees it.
  std::copy(metadata.begin(), metadata.end(), static_cast<char*>(offset->metadata));
  const std::unique_ptr<rd_kafka_consumer_group_metadata_t,
                        detail::KafkaDelete<rd_kafka_consumer_group_metadata_destroy>>
      group{rd_kafka_consumer_group_metadata_new(id_.c_str())};
  must(rd_kafka_send_offsets_to_transaction(producer_.get(), offsets.get(), group.get(), timeout_ms()));
}

KafkaStore::KafkaStore(KafkaSinkOptions options) : impl_{std::make_unique<Impl>(std::move(options))} {}
KafkaStore::~KafkaStore() = default;

std::string KafkaStore::name_or(const std::string& pipeline) const {
  return impl_->options().name.empty() ? pipeline : impl_->options().name;
}
std::chrono::nanoseconds KafkaStore::call_limit() const noexcept {
  return 6 * impl_->options().server.timeout;
}
SinkClaim KafkaStore::claim(const SinkOwner& owner) {
  return impl_->claim(owner);
}
void KafkaStore::apply(const SinkBatch<Effect>& batch) {
  impl_->apply(batch);
}

}  // namespace sluice
