// SPDX-License-Identifier: Apache-2.0
// How a host gets the newest whole chain of a partition into a directory, and keeps it there.
#include <algorithm>
#include <chrono>
#include <functional>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/unavailable.hpp>

#include "pull.hpp"
#include "state_log.hpp"
#include "state_stream.hpp"

namespace sluice::detail {
namespace {

using namespace std::chrono_literals;

constexpr int kPullMessages = 64;
constexpr std::int64_t kPullBytes = std::int64_t{8} << 20;
// One that nobody pulls from is removed by the server after that.
constexpr std::int64_t kConsumerLivesNs = 10'000'000'000;
// How long one who follows waits before it asks for more, longer where nothing has come. A pull that waits at the server is
// answered once it is full, or its time is over.
constexpr std::chrono::milliseconds kLook{100};
constexpr std::chrono::milliseconds kLongestLook{800};

// Whoever gives the order ends the pull that waits.
class Woken {
 public:
  Woken(ClaimOrder* order, const NatsPull& pull) : order_{order} {
    if (order_ != nullptr) order_->wake_by([&pull] { pull.wake(); });
  }
  ~Woken() {
    if (order_ != nullptr) order_->wake_by({});
  }
  Woken(const Woken&) = delete;
  Woken& operator=(const Woken&) = delete;

 private:
  ClaimOrder* order_;
};

JsConsumerInfoPtr consume(const NatsClient& client, const std::string& stream, const std::string& subject,
                          std::uint64_t behind) {
  std::string name = fmt::format("fetch-{:08x}{:08x}", std::random_device{}(), std::random_device{}());
  jsConsumerConfig config;
  jsConsumerConfig_Init(&config);
  config.Name = name.c_str();
  config.InactiveThreshold = kConsumerLivesNs;
  config.FilterSubject = subject.c_str();
  config.DeliverPolicy = behind == 0 ? js_DeliverAll : js_DeliverByStartSequence;
  if (behind != 0) config.OptStartSeq = behind + 1;
  config.AckPolicy = js_AckNone;
  auto code = kNoCode;
  jsConsumerInfo* made = nullptr;
  const natsStatus status =
      js_AddConsumer(&made, client.jetstream(), stream.c_str(), &config, nullptr, &code);
  JsConsumerInfoPtr info{made};
  if (status != NATS_OK) client.fail("read", "the stream " + stream, status, code);
  return info;
}

NatsPull::Limits limits_of(const NatsClient& client, const jsConsumerInfo& consumer) {
  // A server may allow less: max_request_batch.
  const std::int64_t allowed = consumer.Config->MaxRequestBatch;
  return {.messages =
              static_cast<int>(allowed > 0 ? std::min<std::int64_t>(allowed, kPullMessages) : kPullMessages),
          .bytes = std::max(kPullBytes, 2 * natsConnection_GetMaxPayload(client.connection())),
          .within = client.timeout()};
}

}  // namespace

// Whoever wrote it drew a name that nobody else has: with the message, all that was before it is as it was.
bool StateLog::has(const CopiedMessage& copied) {
  const NatsMessagePtr found = client().message(stream_, copied.sequence);
  return found && natsMsg_GetSubject(found.get()) == subject_ &&
         read_state_message(found.get()) == copied.message;
}

void StateLog::forget_what_is_over(StateChain& chain) {
  if (chain.last_kept() && !has(*chain.last_kept())) chain.forget_kept();
}

FetchedState StateLog::fetch(const std::filesystem::path& directory) {
  client(MissingStream::make);
  StateChain chain{directory, subject_};
  const Last end = last();
  forget_what_is_over(chain);
  const std::uint64_t have = chain.last_kept() ? chain.last_kept()->sequence : 0;
  try {
    if (end.sequence > have) read(end.sequence, chain);
    const FetchedState fetched = chain.finish(object(), subject_);
    record(client(), fetched);
    return fetched;
  } catch (const Unavailable&) {
    throw;  // What is there is whole.
  } catch (const Error&) {
    chain.forget_kept();
    throw;
  }
}

std::optional<FetchedState> StateLog::follow(const std::filesystem::path& directory, const Told& told,
                                             ClaimOrder* order) {
  Following following{told, order};
  if (auto followed = follow_once(directory, following); followed || !following.claimed) return followed;
  return fetch(directory);
}

std::optional<FetchedState> StateLog::follow_once(const std::filesystem::path& directory,
                                                  Following& following) {
  client(MissingStream::make);
  StateChain chain{directory, subject_};
  forget_what_is_over(chain);
  const Last end = last();
  const std::uint64_t connections = connections_;
  try {
    read(end.sequence, chain, &following);
    // Connected anew for the claim, it has nothing to go on reading with.
    if (following.claimed && connections_ != connections) return std::nullopt;
    if (!following.claimed && chain.damage().empty()) return std::nullopt;
    FetchedState fetched = chain.finish(object(), subject_);
    fetched.copied = std::min(following.copied, fetched.bytes);
    record(client(), fetched);
    return fetched;
  } catch (const Unavailable&) {
    throw;  // What is there is whole.
  } catch (const Fenced&) {
    throw;
  } catch (const Error&) {
    chain.forget_kept();
    throw;
  }
}

// Whether it goes on.
bool StateLog::tell(const NatsClient& client, const Following& following, const FetchedState& state) {
  record(client, state);  // Long before the claim, which does not wait for it then.
  return following.told(state);
}

// In pulls of some MiB. Whether there is more tells how much a pull brought, not only the server's count of what waits: that of 2.9.10 may
// be one too many for as long as a consumer lives that was asked while messages came.
void StateLog::read(std::uint64_t end, StateChain& chain, Following* following) {
  const NatsClient& client = this->client();
  const JsConsumerInfoPtr consumer =
      consume(client, stream_, subject_, chain.last_kept() ? chain.last_kept()->sequence : 0);
  NatsPull pull{client, stream_, consumer->Name};
  const Woken woken{following != nullptr ? following->order : nullptr, pull};
  const NatsPull::Limits limits = limits_of(client, *consumer);
  std::uint64_t delivered = 0;
  std::uint64_t sequence = chain.last_kept() ? chain.last_kept()->sequence : 0;
  auto heard = monotonic_now();
  auto look = 0ms;
  const std::uint64_t connections = connections_;
  const auto follows = [following] { return following != nullptr && !following->claimed; };
  // A pull waits for what comes next.
  if (follows() && sequence >= end && !tell(client, *following, chain.state())) return;
  while (follows() || sequence < end) {
    if (follows() && claim_if_ordered(*following, chain, look)) {
      if (connections_ != connections) return;
      end = *expected_;
      heard = monotonic_now();
      continue;
    }
    NatsPull::Batch pulled;
    std::int64_t bytes = 0;
    bool none_wait = false;
    const natsStatus status = pull.pull(limits, pulled);
    for (const NatsMessagePtr& each : pulled) {
      natsMsg* const message = each.get();
      jsMsgMetaData* made = nullptr;
      if (const natsStatus known = natsMsg_GetMetaData(&made, message); known != NATS_OK)
        client.fail("read", object(), known, kNoCode);
      const JsMetaDataPtr meta{made};
      if (meta->Sequence.Consumer != ++delivered)
        client.away(object() + ": some messages were lost on the way; the next try reads them again");
      sequence = meta->Sequence.Stream;
      chain.take(read_state_message(message), sequence,
                 {natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message))});
      heard = monotonic_now();
      bytes += natsMsg_GetDataLength(message);
      none_wait = meta->NumPending == 0;
    }
    // One that reaches its limit of bytes lacks at most the largest message of it.
    const bool is_full = std::cmp_equal(pulled.size(), limits.messages) || 2 * bytes >= limits.bytes;
    const bool is_all = sequence >= end && (!is_full || none_wait);
    const bool nothing_yet = status == NATS_TIMEOUT || status == NATS_NOT_FOUND;
    if (!follows() && nothing_yet && monotonic_now() - heard > client.timeout())
      client.away(fmt::format("{}: message {} does not come", object(), end));
    if (follows()) {
      if (client.is_lost()) client.away("the connection was lost");
      if (is_all && (!chain.damage().empty() || !tell(client, *following, chain.state()))) return;
      look = !is_all ? 0ms : (pulled.empty() ? std::clamp(2 * look, kLook, kLongestLook) : kLook);
    }
    if (status == NATS_ERR) client.away(object() + ": " + pull.why());
    if (status != NATS_OK && !nothing_yet) client.fail("read", object(), status, kNoCode);
  }
}

// Waits for the order up to `limit`.
bool StateLog::claim_if_ordered(Following& following, const StateChain& chain,
                                std::chrono::milliseconds limit) {
  if (following.order == nullptr) {
    std::this_thread::sleep_for(limit);
    return false;
  }
  const auto epoch = following.order->wait(limit);
  if (!epoch) return false;
  following.copied = chain.state().bytes;
  claim(*epoch);
  following.claimed = true;
  return true;
}

}  // namespace sluice::detail
