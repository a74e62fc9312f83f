// SPDX-License-Identifier: Apache-2.0
#include "reader_consumer.hpp"

#include <algorithm>
#include <random>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/key.hpp>

namespace sluice::detail {
namespace {

// A consumer that nobody pulls from is removed by the server after that; one that we need is made again.
constexpr std::int64_t kLivesNs = 60'000'000'000;
constexpr std::int64_t kAcknowledgeWithinNs = 300'000'000'000;
constexpr std::int64_t kMostUnacknowledged = 65536;

// A name that NATS allows for a consumer, the same for all processes of this start of this worker: each removes what the one before
// it has left, of which a stream or an account may allow few. Not that of another start: a host that was taken for dead may live.
std::string name_of(const Worker& worker, const ReaderNeeds& needs) {
  std::string name = fmt::format("sluice-{}-{}-{}", worker.pipeline(), worker.stage(), worker.replica());
  std::replace_if(
      name.begin(), name.end(),
      [](char letter) { return letter == '.' || letter == '*' || letter == '>' || letter <= ' '; }, '_');
  // Of a work queue, which has one.
  if (needs.queue) return name;
  // Within run_inline nothing tells one start from another.
  const std::string start = worker.run() == 0 ? fmt::format("{:08x}", std::random_device{}())
                                              : fmt::format("{}.{}", worker.run(), worker.life());
  return name.append(fmt::format("-{:016x}", hash_key(start + " " + needs.key)));
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

}  // namespace

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
  const JsConsumerInfoPtr info{made};
  if (static_cast<int>(code) == JSMaximumConsumersLimitErr) {
    client.away(
        fmt::format("the stream {} has no room for another consumer: those of readers that were killed go "
                    "within a minute; "
                    "else raise max_consumers",
                    needs.stream));
  }
  if (status != NATS_OK) client.fail("make a consumer of", "the stream " + needs.stream, status, code);
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
