// SPDX-License-Identifier: Apache-2.0
// How a host gets the newest whole chain of a partition into a directory.
#include <random>
#include <span>
#include <string>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>

#include "state_log.hpp"
#include "state_stream.hpp"

namespace sluice::detail {
namespace {

constexpr int kPullMessages = 64;
constexpr std::int64_t kPullBytes = std::int64_t{8} << 20;
// One that nobody pulls from is removed by the server after that.
constexpr std::int64_t kConsumerLivesNs = 10'000'000'000;

// Messages of one pull.
class Pulled {
 public:
  Pulled(natsSubscription* subscription, const jsFetchRequest& request) noexcept {
    jsFetchRequest asked = request;
    status_ = natsSubscription_FetchRequest(&list_, subscription, &asked);
  }
  ~Pulled() { natsMsgList_Destroy(&list_); }
  Pulled(const Pulled&) = delete;
  Pulled& operator=(const Pulled&) = delete;

  natsStatus status() const noexcept { return status_; }
  std::span<natsMsg* const> messages() const noexcept {
    return {list_.Msgs, static_cast<std::size_t>(list_.Count)};
  }

 private:
  natsMsgList list_{nullptr, 0};
  natsStatus status_;
};

NatsSubscriptionPtr consume(const NatsClient& client, const std::string& stream, const std::string& subject) {
  const std::string name = fmt::format("fetch-{:08x}{:08x}", std::random_device{}(), std::random_device{}());
  jsConsumerConfig config;
  jsConsumerConfig_Init(&config);
  config.Name = name.c_str();
  config.InactiveThreshold = kConsumerLivesNs;
  config.FilterSubject = subject.c_str();
  config.DeliverPolicy = js_DeliverAll;
  config.AckPolicy = js_AckNone;
  auto code = kNoCode;
  jsConsumerInfo* made = nullptr;
  natsStatus status = js_AddConsumer(&made, client.jetstream(), stream.c_str(), &config, nullptr, &code);
  const JsConsumerInfoPtr info{made};
  if (status != NATS_OK) client.fail("read", "the stream " + stream, status, code);
  jsSubOptions options;
  jsSubOptions_Init(&options);
  options.Stream = stream.c_str();
  options.Consumer = name.c_str();
  natsSubscription* subscription = nullptr;
  status =
      js_PullSubscribe(&subscription, client.jetstream(), subject.c_str(), nullptr, nullptr, &options, &code);
  if (status != NATS_OK) client.fail("read", "the stream " + stream, status, code);
  NatsSubscriptionPtr owned{subscription};
  natsSubscription_SetPendingLimits(subscription, -1, -1);
  return owned;
}

}  // namespace

FetchedState StateLog::fetch(const std::filesystem::path& directory) {
  client(MissingStream::make);
  StateChain chain{directory};
  if (const Last end = last(); end.sequence != 0) read(end.sequence, chain);
  return chain.finish(object(), subject_);
}

// Up to the message `end`, in pulls of some MiB.
void StateLog::read(std::uint64_t end, StateChain& chain) {
  const NatsClient& client = this->client();
  const NatsSubscriptionPtr subscription = consume(client, stream_, subject_);
  jsFetchRequest request;
  jsFetchRequest_Init(&request);
  request.Batch = kPullMessages;
  request.MaxBytes = std::max(kPullBytes, 2 * natsConnection_GetMaxPayload(client.connection()));
  request.Expires = std::chrono::nanoseconds{client.timeout()}.count();
  request.NoWait = true;
  std::uint64_t delivered = 0;
  auto heard = monotonic_now();
  for (std::uint64_t sequence = 0; sequence < end;) {
    const Pulled pulled{subscription.get(), request};
    for (natsMsg* const message : pulled.messages()) {
      jsMsgMetaData* made = nullptr;
      if (const natsStatus status = natsMsg_GetMetaData(&made, message); status != NATS_OK)
        client.fail("read", object(), status, kNoCode);
      const JsMetaDataPtr meta{made};
      if (meta->Sequence.Consumer != ++delivered)
        client.away(object() + ": some messages were lost on the way; the next try reads them again");
      sequence = meta->Sequence.Stream;
      chain.take(read_state_message(message), sequence,
                 {natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message))});
      heard = monotonic_now();
    }
    const natsStatus status = pulled.status();
    const bool nothing_yet = status == NATS_TIMEOUT || status == NATS_NOT_FOUND;
    if (nothing_yet && monotonic_now() - heard > client.timeout())
      client.away(fmt::format("{}: message {} does not come", object(), end));
    if (status != NATS_OK && !nothing_yet) client.fail("read", object(), status, kNoCode);
  }
}

}  // namespace sluice::detail
