// SPDX-License-Identifier: Apache-2.0
#include "kafka_transaction_log.hpp"

#include <algorithm>
#include <iterator>
#include <sstream>
#include <stdexcept>

namespace sluice::test {
namespace {

// Of the protocol: kinds of requests, and what is wrong with them.
enum Kind : std::int64_t {
  kProduce = 0,
  kFetch = 1,
  kListOffsets = 2,
  kMetadata = 3,
  kOffsetFetch = 9,
  kFindCoordinator = 10,
  kHandshake = 17,
  kApiVersions = 18,
  kInitProducerId = 22,
  kAddPartitions = 24,
  kAddOffsets = 25,
  kEndTransaction = 26,
  kTransactionOffsets = 28,
  kAuthenticate = 36,
};
constexpr std::int64_t kUnknownTopic = 3;
constexpr std::int64_t kOutOfOrder = 45;
constexpr std::int64_t kDuplicate = 46;
constexpr std::int64_t kFenced = 47;
constexpr std::int64_t kNobodyIsKnown = 58;
constexpr std::int64_t kUnstableOffset = 88;

// Each with the only version, or those, that are answered. The library looks for some others before it takes a broker for one of today.
struct Version {
  std::int64_t kind, least, most;
};
constexpr Version kVersions[] = {{kProduce, 3, 3},
                                 {kFetch, 4, 4},
                                 {kListOffsets, 1, 1},
                                 {kMetadata, 1, 1},
                                 {8, 1, 2},
                                 {kOffsetFetch, 1, 7},
                                 {kFindCoordinator, 0, 1},
                                 {11, 0, 0},
                                 {12, 0, 0},
                                 {13, 0, 0},
                                 {14, 0, 0},
                                 {kHandshake, 0, 1},
                                 {kApiVersions, 0, 3},
                                 {kInitProducerId, 0, 0},
                                 {kAddPartitions, 0, 0},
                                 {kAddOffsets, 0, 0},
                                 {kEndTransaction, 0, 0},
                                 {kTransactionOffsets, 0, 0},
                                 {kAuthenticate, 0, 0}};

// What a test says of ends, with a number behind it.
constexpr std::string_view kEnds = "ends ";
constexpr std::string_view kQuestions[] = {"committed", "aborted", "open", "unanswered"};

}  // namespace

bool KafkaTransactionLog::changes(std::string_view request) const {
  Reader in{request};
  const std::int64_t kind = in.i16();
  if (kind == kEndTransaction) return ends_ != KafkaEnds::held;
  if (kind != kAskTransactionLog)
    return kind == kProduce || (kind >= kInitProducerId && kind <= kTransactionOffsets);
  in.i16();
  in.i32();
  in.text();
  const std::string what = in.text();
  return !what.starts_with(kEnds) &&
         std::find(std::begin(kQuestions), std::end(kQuestions), what) == std::end(kQuestions);
}

std::optional<std::string> KafkaTransactionLog::answer(std::string_view request) {
  Reader in{request};
  const std::int64_t kind = in.i16();
  const std::int64_t version = in.i16();
  Writer out;
  has_something_ = true;
  out.i32(in.i32());
  in.text();  // Of the client.
  switch (kind) {
    case kApiVersions:
      versions(version, out);
      break;
    case kMetadata:
      metadata(in, out);
      break;
    case kFindCoordinator:
      coordinator(version, out);
      break;
    case kInitProducerId:
      begin_producer(in, out);
      break;
    case kAddPartitions:
      add_partitions(in, out);
      break;
    case kAddOffsets:
      out.i32(0).i16(open(producer_of(in)));
      break;
    case kTransactionOffsets:
      add_offsets(in, out);
      break;
    case kEndTransaction:
      if (ends_ != KafkaEnds::held) end(in, out);
      if (ends_ == KafkaEnds::answered) break;
      ++unanswered_;
      return std::nullopt;
    case kProduce:
      produce(in, out);
      break;
    case kFetch:
      fetch(in, out);
      break;
    case kListOffsets:
      list_offsets(in, out);
      break;
    case kOffsetFetch:
      if (version < 7) throw std::runtime_error{"offsets by an old version"};
      fetch_offsets(in, out);
      break;
    case kHandshake:
    case kAuthenticate:
      refuse_user(kind, out);
      break;
    case kAskTransactionLog:
      tell(in.text(), out);
      break;
    default:
      throw std::runtime_error{"an unknown request"};
  }
  return out.bytes();
}

void KafkaTransactionLog::versions(std::int64_t version, Writer& out) {
  out.i16(0);
  if (version >= 3) {
    out.uvarint(std::size(kVersions) + 1);
  } else {
    out.i32(std::size(kVersions));
  }
  for (const Version& known : kVersions) {
    out.i16(known.kind).i16(known.least).i16(known.most);
    if (version >= 3) out.uvarint(0);
  }
  if (version >= 1) out.i32(0);
  if (version >= 3) out.uvarint(0);
}

void KafkaTransactionLog::refuse_user(std::int64_t kind, Writer& out) {
  if (kind == kHandshake) {
    out.i16(0).i32(1).text("PLAIN");
  } else {
    out.i16(kNobodyIsKnown).text("Invalid username or password").i32(0);
  }
}

void KafkaTransactionLog::metadata(Reader& in, Writer& out) const {
  out.i32(1).i32(1).text("127.0.0.1").i32(port_).i16(-1).i32(1);
  const std::int64_t asked = in.i32();
  const std::int64_t count = asked < 0 ? 1 : asked;
  out.i32(count);
  for (std::int64_t i = 0; i < count; ++i) {
    const std::string name = asked < 0 ? topic_ : in.text();
    const bool known = name == topic_;
    out.i16(known ? 0 : kUnknownTopic).text(name).i8(0);
    out.i32(known ? static_cast<std::int64_t>(logs_.size()) : 0);
    for (std::size_t partition = 0; known && partition < logs_.size(); ++partition)
      out.i16(0).i32(static_cast<std::int64_t>(partition)).i32(1).i32(1).i32(1).i32(1).i32(1);
  }
}

void KafkaTransactionLog::coordinator(std::int64_t version, Writer& out) const {
  if (version > 0) out.i32(0);
  out.i16(0);
  if (version > 0) out.text("");
  out.i32(1).text("127.0.0.1").i32(port_);
}

// Ends what the one before has begun.
void KafkaTransactionLog::begin_producer(Reader& in, Writer& out) {
  const std::string id = in.text();
  Producer& producer = producers_[id];
  finish(producer, false);
  if (producer.id == 0) producer.id = static_cast<std::int64_t>(1000 + producers_.size());
  ++producer.epoch;
  producer.sequences.clear();
  out.i32(0).i16(0).i64(producer.id).i16(producer.epoch);
}

// Nothing for one that was fenced.
KafkaTransactionLog::Producer* KafkaTransactionLog::producer_of(Reader& in) {
  const std::string id = in.text();
  return checked(id, in);
}
KafkaTransactionLog::Producer* KafkaTransactionLog::checked(const std::string& id, Reader& in) {
  const std::int64_t number = in.i64();
  const std::int64_t epoch = in.i16();
  Producer& producer = producers_[id];
  return producer.id == number && producer.epoch == epoch ? &producer : nullptr;
}
std::int64_t KafkaTransactionLog::open(Producer* producer) {
  if (producer == nullptr) return kFenced;
  producer->open = true;
  return 0;
}

void KafkaTransactionLog::add_partitions(Reader& in, Writer& out) {
  const std::int64_t error = open(producer_of(in));
  out.i32(0);
  answer_partitions(in, out, [&](std::int64_t) { out.i16(error); });
}

void KafkaTransactionLog::add_offsets(Reader& in, Writer& out) {
  const std::string id = in.text();
  const std::string group = in.text();
  Producer* producer = checked(id, in);
  const std::int64_t error = open(producer);
  out.i32(0);
  answer_partitions(in, out, [&](std::int64_t partition) {
    const std::int64_t offset = in.i64();
    const std::string text = in.text();
    if (producer != nullptr) producer->offsets[{group, partition}] = {offset, text};
    out.i16(error);
  });
}

// One of eight before it has any effect, and one behind that.
void KafkaTransactionLog::perhaps_cut(unsigned of_eight) const {
  if (cuts_ends_ && ended_ % 8 == of_eight) throw KafkaCut{};
}

void KafkaTransactionLog::end(Reader& in, Writer& out) {
  ++ended_;
  perhaps_cut(0);
  Producer* producer = producer_of(in);
  if (producer != nullptr) finish(*producer, in.i8() != 0);
  perhaps_cut(4);
  out.i32(0).i16(producer == nullptr ? kFenced : 0);
}
void KafkaTransactionLog::finish(Log& log, std::int64_t producer, bool commit) {
  const Message::Fate fate = commit ? Message::Fate::committed : Message::Fate::aborted;
  bool has_some = false;
  for (Message& message : log) {
    if (message.producer != producer || message.fate != Message::Fate::open) continue;
    message.fate = fate;
    has_some = true;
  }
  if (has_some) log.push_back({producer, {}, fate, true});
}
void KafkaTransactionLog::finish(Producer& producer, bool commit) {
  for (Log& log : logs_)
    finish(log, producer.id, commit);
  for (const auto& [key, offset] : producer.offsets) {
    if (commit) offsets_[key] = offset;
  }
  producer.offsets.clear();
  producer.open = false;
}

void KafkaTransactionLog::produce(Reader& in, Writer& out) {
  const std::string id = in.text();
  in.i16();
  in.i32();
  answer_partitions(in, out, [&](std::int64_t partition) {
    const std::string batch = in.bytes();
    const auto base = static_cast<std::int64_t>(logs_.at(static_cast<std::size_t>(partition)).size());
    out.i16(append(id, partition, batch)).i64(base).i64(-1);
  });
  out.i32(0);
}
// A batch of records of version 2.
std::int64_t KafkaTransactionLog::append(const std::string& id, std::int64_t partition,
                                         const std::string& batch) {
  Reader in{batch};
  in.i64();
  in.i32();
  in.i32();
  if (in.i8() != 2) throw std::runtime_error{"records of an old version"};
  in.i32();
  if ((in.i16() & 7) != 0) throw std::runtime_error{"records that are compressed"};
  in.i32();
  in.i64();
  in.i64();
  Producer* producer = checked(id, in);
  const std::int64_t sequence = in.i32();
  const std::int64_t count = in.i32();
  if (producer == nullptr || !producer->open) return kFenced;
  std::int64_t& next = producer->sequences[partition];
  if (sequence != next) return sequence < next ? kDuplicate : kOutOfOrder;
  next += count;
  for (std::int64_t i = 0; i < count; ++i) {
    in.varint();
    in.i8();
    in.varint();
    in.varint();
    in.record_bytes();
    logs_[static_cast<std::size_t>(partition)].push_back(
        {.producer = producer->id, .value = in.record_bytes()});
    for (std::int64_t headers = in.varint(); headers > 0; --headers)
      throw std::runtime_error{"records with headers"};
  }
  return 0;
}

// As long as a transaction has moved it and is open, whoever wants a stable one is asked to come again.
bool KafkaTransactionLog::is_unstable(const OffsetKey& key) const {
  return std::any_of(producers_.begin(), producers_.end(),
                     [&](const auto& producer) { return producer.second.offsets.contains(key); });
}
void KafkaTransactionLog::fetch_offsets(Reader& in, Writer& out) const {
  in.tags();
  const std::string group = in.compact_text();
  std::vector<std::pair<std::string, std::vector<std::int64_t>>> wanted(in.uvarint() - 1);
  for (auto& [name, partitions] : wanted) {
    name = in.compact_text();
    partitions.resize(in.uvarint() - 1);
    for (std::int64_t& partition : partitions)
      partition = in.i32();
    in.tags();
  }
  const bool stable = in.i8() != 0;
  out.uvarint(0).i32(0).uvarint(wanted.size() + 1);
  for (const auto& [name, partitions] : wanted) {
    out.compact_text(name).uvarint(partitions.size() + 1);
    for (const std::int64_t partition : partitions) {
      const OffsetKey key{group, partition};
      const bool later = stable && is_unstable(key);
      const auto known = later ? offsets_.end() : offsets_.find(key);
      const Offset found = known == offsets_.end() ? Offset{} : known->second;
      out.i32(partition).i64(found.offset).i32(-1).compact_text(found.metadata);
      out.i16(later ? kUnstableOffset : 0).uvarint(0);
    }
    out.uvarint(0);
  }
  out.i16(0).uvarint(0);
}

void KafkaTransactionLog::tell(const std::string& what, Writer& out) {
  if (what.starts_with(kEnds)) ends_ = static_cast<KafkaEnds>(std::stoi(what.substr(kEnds.size())));
  if (what == "cut ends") cuts_ends_ = true;
  if (what.starts_with("write ")) write(what);
  if (what.starts_with("advertise ")) port_ = std::stoi(what.substr(what.find(' ')));
  if (what == "commit open" || what == "abort open") finish_written(what == "commit open");
  for (std::size_t partition = 0; what == "remove all" && partition < logs_.size(); ++partition)
    begins_[partition] = logs_[partition].size();
  std::ostringstream text;
  std::size_t count = 0;
  for (std::size_t partition = 0; partition < logs_.size(); ++partition) {
    for (const Message& message : logs_[partition]) {
      if (message.is_end) continue;
      if (what == "aborted" && message.fate == Message::Fate::aborted) ++count;
      if (what == "open" && message.fate == Message::Fate::open) ++count;
      if (what == "committed" && message.fate == Message::Fate::committed)
        text << partition << ' ' << message.value << '\n';
    }
  }
  if (what == "unanswered") count = unanswered_;
  if (what == "aborted" || what == "open" || what == "unanswered") text << count;
  for (const char letter : text.str())
    out.i8(letter);
}

}  // namespace sluice::test
