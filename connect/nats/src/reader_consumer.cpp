// SPDX-License-Identifier: Apache-2.0
#include "reader_consumer.hpp"

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/key.hpp>

namespace sluice::detail {
namespace {

// A consumer that nobody pulls from is removed by the server after that; one that we need is made again.
constexpr std::int64_t kLivesNs = 60'000'000'000;
constexpr std::int64_t kAcknowledgeWithinNs = 300'000'000'000;
constexpr std::int64_t kMostUnacknowledged = 65536;

// As NATS allows it in the name of a consumer.
std::string name_of_worker(const Worker& worker) {
  std::string name = fmt::format("sluice-{}-{}-{}", worker.pipeline(), worker.stage(), worker.replica());
  std::replace_if(
      name.begin(), name.end(),
      [](char letter) { return letter == '.' || letter == '*' || letter == '>' || letter <= ' '; }, '_');
  return name;
}

std::string name_in_queue(const Worker& worker, const std::string& key) {
  return fmt::format("{}-{:016x}", name_of_worker(worker), hash_key(key));
}

// The same for all processes of this start of this worker: each removes what the one before it has left, of which a stream or an
// account may allow few. Not that of another start: a host that was taken for dead may live.
std::string name_of(const Worker& worker, const ReaderNeeds& needs) {
  // Of a work queue another start takes what this one has not acknowledged.
  if (needs.queue) return name_in_queue(worker, needs.key);
  // Within run_inline nothing tells one start from another.
  const std::string start = worker.run() == 0 ? fmt::format("{:08x}", std::random_device{}())
                                              : fmt::format("{}.{}", worker.run(), worker.life());
  return fmt::format("{}-{:016x}", name_of_worker(worker), hash_key(start + " " + needs.key));
}

jsConsumerConfig config_of(const std::string& name, const ReaderNeeds& needs) {
  jsConsumerConfig config;
  jsConsumerConfig_Init(&config);
  config.Name = name.c_str();
  config.InactiveThreshold = kLivesNs;
  if (!needs.subject.empty()) config.FilterSubject = needs.subject.c_str();
  if (needs.queue) {
    config.DeliverPolicy = js_DeliverAll;
    config.AckPolicy = js_AckExplicit;
    config.AckWait = kAcknowledgeWithinNs;
    config.MaxAckPending = kMostUnacknowledged;
  } else {
    config.DeliverPolicy = js_DeliverByStartSequence;
    config.OptStartSeq = needs.first;
    config.AckPolicy = js_AckNone;
  }
  return config;
}

// More would be refused again and again, or wait for acknowledgements of what comes with it: two batches are held, and one is handled.
std::size_t allowed_batch(const jsConsumerConfig& config, std::size_t wanted) {
  constexpr std::int64_t kBatchesUnacknowledged = 4;
  auto most = static_cast<std::int64_t>(std::clamp<std::size_t>(wanted, 1, INT32_MAX));
  if (config.MaxRequestBatch > 0) most = std::min(most, config.MaxRequestBatch);
  if (config.AckPolicy == js_AckExplicit && config.MaxAckPending > 0)
    most = std::min(most, std::max<std::int64_t>(config.MaxAckPending / kBatchesUnacknowledged, 1));
  return static_cast<std::size_t>(most);
}

// By worker: of this thread, which may have several of them in run_inline.
std::map<const Worker*, std::set<std::string>>& keys_of_readers() {
  static thread_local std::map<const Worker*, std::set<std::string>> keys;
  return keys;
}

// The server's refusal of a second consumer for the same messages of a work queue.
bool is_of_another(jsErrCode code) {
  return static_cast<int>(code) == JSConsumerWQMultipleUnfilteredErr ||
         static_cast<int>(code) == JSConsumerWQConsumerNotUniqueErr;
}

// A consumer of this worker that none of its readers has: one start before had other subjects, or was of a version that had one
// name for all readers of a worker.
bool is_left(const std::string& name, const Worker& worker) {
  const std::string of_worker = name_of_worker(worker);
  if (name == of_worker) return true;
  constexpr std::size_t kOfKey = 17;
  if (!name.starts_with(of_worker + "-") || name.size() != of_worker.size() + kOfKey) return false;
  const std::set<std::string>& keys = keys_of_readers()[&worker];
  return std::none_of(keys.begin(), keys.end(),
                      [&](const std::string& key) { return name == name_in_queue(worker, key); });
}

// Whether there were any.
bool remove_left(jsCtx* js, const std::string& stream, const Worker& worker) {
  jsConsumerNamesList* made = nullptr;
  if (js_ConsumerNames(&made, js, stream.c_str(), nullptr, nullptr) != NATS_OK) return false;
  const std::unique_ptr<jsConsumerNamesList, NatsDelete<jsConsumerNamesList_Destroy>> names{made};
  bool any = false;
  for (int i = 0; i < names->Count; ++i) {
    if (!is_left(names->List[i], worker)) continue;
    js_DeleteConsumer(js, stream.c_str(), names->List[i], nullptr, nullptr);
    any = true;
  }
  return any;
}

}  // namespace

ReaderKey::ReaderKey(const Worker& worker, const std::string& reads) : worker_{&worker} {
  unsigned same = 0;
  do {
    text_ = fmt::format("{:016x}", hash_key(same == 0 ? reads : fmt::format("{} {}", reads, same)));
    ++same;
  } while (!keys_of_readers()[worker_].insert(text_).second);
}

ReaderKey::~ReaderKey() {
  keys_of_readers()[worker_].erase(text_);
  if (keys_of_readers()[worker_].empty()) keys_of_readers().erase(worker_);
}

ReaderConsumer make_reader_consumer(const NatsClient& client, const Worker& worker,
                                    const ReaderNeeds& needs) {
  jsCtx* js = client.jetstream();
  const std::string name = name_of(worker, needs);
  js_DeleteConsumer(js, needs.stream.c_str(), name.c_str(), nullptr, nullptr);
  jsConsumerConfig config = config_of(name, needs);
  auto code = kNoCode;
  jsConsumerInfo* made = nullptr;
  natsStatus status = js_AddConsumer(&made, js, needs.stream.c_str(), &config, nullptr, &code);
  if (static_cast<int>(code) == JSConsumerMaxPendingAckExcessErr) {
    config.MaxAckPending = 0;  // As many as the server takes.
    code = kNoCode;
    status = js_AddConsumer(&made, js, needs.stream.c_str(), &config, nullptr, &code);
  }
  if (static_cast<int>(code) == JSMaximumConsumersLimitErr) {
    client.away(
        fmt::format("the stream {} has no room for another consumer: those of readers that were killed go "
                    "within a minute; "
                    "else raise max_consumers",
                    needs.stream));
  }
  if (is_of_another(code) && remove_left(js, needs.stream, worker)) {
    code = kNoCode;
    status = js_AddConsumer(&made, js, needs.stream.c_str(), &config, nullptr, &code);
  }
  if (is_of_another(code)) {
    throw Error{
        {"read", fmt::format("the stream {} of {}", needs.stream, client.where()),
         "it is a work queue, and another consumer takes what this reader is to take",
         fmt::format("give each reader a subject of its own (NatsSourceOptions::subject); `nats consumer ls "
                     "{}` shows who reads",
                     needs.stream)}};
  }
  if (status != NATS_OK) client.fail("make a consumer of", "the stream " + needs.stream, status, code);
  const JsConsumerInfoPtr info{made};
  return {name, allowed_batch(*info->Config, needs.batch), info->NumPending};
}

void refuse_swallowed(const NatsClient& client, Worker& worker, const std::string& stream, std::uint64_t from,
                      std::uint64_t end) {
  constexpr std::uint64_t kMost = 64;
  const auto call = worker.outside(3 * client.timeout());
  const std::uint64_t behind = std::min({end, from + kMost, client.stream(stream)->State.LastSeq + 1});
  for (std::uint64_t sequence = from; sequence < behind; ++sequence) {
    const NatsMessagePtr message = client.message(stream, sequence);
    if (!message || !natsMsg_IsNoResponders(message.get())) continue;
    throw Error{
        {"go on reading", fmt::format("the stream {} of {}", stream, client.where()),
         fmt::format(
             "its message {} has no body and the header \"Status: 503\", which libnats takes for a word "
             "of the server",
             sequence),
         fmt::format("remove it: nats stream rmm {} {}", stream, sequence)}};
  }
}

}  // namespace sluice::detail
