// SPDX-License-Identifier: Apache-2.0
// What KafkaTransactionLog answers to those who read messages: which offsets there are, and what is at them.
#include <algorithm>
#include <set>
#include <sstream>
#include <stdexcept>

#include "kafka_transaction_log.hpp"

namespace sluice::test {
namespace {

constexpr std::int64_t kOutOfRange = 1;
constexpr std::int64_t kEarliest = -2;
constexpr int kTransactional = 0x10;
constexpr int kControl = 0x20;
// Of one answer, so that who reads much asks often.
constexpr std::size_t kMostMessages = 50;

// Of one entry, as records of version 2 have it.
std::string batch_of(std::int64_t offset, std::int64_t producer, int attributes, std::string_view record) {
  KafkaWriteBuffer batch;
  batch.i32(0).i8(2).i32(0).i16(kTransactional | attributes).i32(0).i64(-1).i64(-1).i64(producer).i16(0);
  batch.i32(0).i32(1).varint(static_cast<std::int64_t>(record.size())).raw(record);
  KafkaWriteBuffer whole;
  whole.i64(offset).i32(static_cast<std::int64_t>(batch.bytes().size())).raw(batch.bytes());
  return whole.bytes();
}

std::string message_at(std::int64_t offset, std::int64_t producer, std::string_view value) {
  KafkaWriteBuffer record;
  record.i8(0).varint(0).varint(0).varint(-1);
  record.varint(static_cast<std::int64_t>(value.size())).raw(value).varint(0);
  return batch_of(offset, producer, 0, record.bytes());
}

std::string end_at(std::int64_t offset, std::int64_t producer, bool commit) {
  const std::string kind = KafkaWriteBuffer{}.i16(0).i16(commit ? 1 : 0).bytes();
  const std::string coordinator = KafkaWriteBuffer{}.i16(0).i32(0).bytes();
  KafkaWriteBuffer record;
  record.i8(0).varint(0).varint(0);
  for (const std::string& part : {kind, coordinator})
    record.varint(static_cast<std::int64_t>(part.size())).raw(part);
  record.varint(0);
  return batch_of(offset, producer, kControl, record.bytes());
}

}  // namespace

// What is before it is decided: behind the first message of an open transaction nobody reads who wants what is committed.
std::size_t KafkaTransactionLog::stable_end(const Log& log) {
  const auto open = std::find_if(log.begin(), log.end(),
                                 [](const Message& message) { return message.fate == Message::Fate::open; });
  return static_cast<std::size_t>(open - log.begin());
}

void KafkaTransactionLog::list_offsets(Reader& in, Writer& out) const {
  in.i32();
  answer_partitions(in, out, [&](std::int64_t partition) {
    const auto at = static_cast<std::size_t>(partition);
    const std::size_t offset = in.i64() == kEarliest ? begins_.at(at) : logs_.at(at).size();
    out.i16(0).i64(-1).i64(static_cast<std::int64_t>(offset));
  });
}

void KafkaTransactionLog::fetch(Reader& in, Writer& out) {
  has_something_ = false;
  in.i32();
  in.i32();
  in.i32();
  in.i32();
  if (in.i8() != 1) throw std::runtime_error{"a reader of what is not committed"};
  out.i32(0);
  answer_partitions(in, out, [&](std::int64_t partition) {
    const std::int64_t offset = in.i64();
    in.i32();
    fetch(static_cast<std::size_t>(partition), offset, out);
  });
}

void KafkaTransactionLog::fetch(std::size_t partition, std::int64_t offset, Writer& out) {
  const Log& log = logs_.at(partition);
  const std::size_t stable = stable_end(log);
  const auto from = static_cast<std::size_t>(offset);
  const bool in_range = offset >= 0 && from >= begins_[partition] && from <= log.size();
  const std::size_t end = in_range ? std::min(stable, from + kMostMessages) : from;
  Writer batches;
  Writer aborted;
  std::set<std::int64_t> aborting;  // Whose transaction that was given up has begun, and not ended.
  std::int64_t aborts = 0;
  for (std::size_t at = from; at < end; ++at) {
    const Message& message = log[at];
    const auto here = static_cast<std::int64_t>(at);
    const bool gave_up = message.fate == Message::Fate::aborted;
    if (gave_up && aborting.insert(message.producer).second) {
      aborted.i64(message.producer).i64(here);
      ++aborts;
    }
    if (message.is_end) aborting.erase(message.producer);
    batches.raw(message.is_end ? end_at(here, message.producer, !gave_up)
                               : message_at(here, message.producer, message.value));
  }
  has_something_ |= !in_range || end > from;
  out.i16(in_range ? 0 : kOutOfRange);
  out.i64(static_cast<std::int64_t>(log.size())).i64(static_cast<std::int64_t>(stable));
  out.i32(aborts).raw(aborted.bytes());
  out.i32(static_cast<std::int64_t>(batches.bytes().size())).raw(batches.bytes());
}

// "write FATE PARTITION VALUE...": a transaction of a producer of its own, which is at its end but where it is "open".
void KafkaTransactionLog::write(const std::string& what) {
  std::istringstream words{what};
  std::string fate;
  std::size_t partition = 0;
  words >> fate >> fate >> partition;
  const std::int64_t producer = ++writers_;
  for (std::string value; words >> value;)
    logs_.at(partition).push_back({.producer = producer, .value = value});
  if (fate != "open") finish(logs_.at(partition), producer, fate == "committed");
}

// All that was written and left open.
void KafkaTransactionLog::finish_written(bool commit) {
  for (Log& log : logs_) {
    for (std::int64_t producer = kFirstWriter; producer <= writers_; ++producer)
      finish(log, producer, commit);
  }
}

}  // namespace sluice::test
