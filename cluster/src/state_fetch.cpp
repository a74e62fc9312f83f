// SPDX-License-Identifier: Apache-2.0
// How a host gets the newest whole chain of a partition into a directory, and keeps it there.
#include <algorithm>
#include <chrono>
#include <functional>
#include <random>
#include <string>
#include <thread>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/unavailable.hpp>

#include "pull.hpp"
#include "state_log.hpp"
#include "state_stream.hpp"

namespace sluice::detail {
namespace {

constexpr int kPullMessages = 64;
constexpr std::int64_t kPullBytes = std::int64_t{8} << 20;
// One that nobody pulls from is removed by the server after that.
constexpr std::int64_t kConsumerLivesNs = 10'000'000'000;
// How long one who follows waits before it asks for more, longer where nothing has come. A pull that waits at the server is
// answered once it is full, or its time is over.
constexpr std::chrono::milliseconds kLook{100};
constexpr std::chrono::milliseconds kLongestLook{800};

// Gives its name.
std::string consume(const NatsClient& client, const std::string& stream, const std::string& subject,
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
  const JsConsumerInfoPtr info{made};
  if (status != NATS_OK) client.fail("read", "the stream " + stream, status, code);
  return name;
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
    return chain.finish(object(), subject_);
  } catch (const Unavailable&) {
    throw;  // What is there is whole.
  } catch (const Error&) {
    chain.forget_kept();
    throw;
  }
}

void StateLog::follow(const std::filesystem::path& directory,
                      const std::function<bool(const FetchedState&)>& told) {
  client(MissingStream::make);
  StateChain chain{directory, subject_};
  forget_what_is_over(chain);
  const Last end = last();
  try {
    read(end.sequence, chain, told);
    if (!chain.damage().empty()) chain.finish(object(), subject_);
  } catch (const Unavailable&) {
    throw;  // What is there is whole.
  } catch (const Error&) {
    chain.forget_kept();
    throw;
  }
}

// In pulls of some MiB.
void StateLog::read(std::uint64_t end, StateChain& chain,
                    const std::function<bool(const FetchedState&)>& told) {
  const NatsClient& client = this->client();
  NatsPull pull{client, stream_,
                consume(client, stream_, subject_, chain.last_kept() ? chain.last_kept()->sequence : 0)};
  const NatsPull::Limits limits{
      .messages = kPullMessages,
      .bytes = std::max(kPullBytes, 2 * natsConnection_GetMaxPayload(client.connection())),
      .within = client.timeout()};
  std::uint64_t delivered = 0;
  std::uint64_t sequence = chain.last_kept() ? chain.last_kept()->sequence : 0;
  auto heard = monotonic_now();
  auto look = kLook;
  // A pull waits for what comes next.
  if (told && sequence >= end && !told(chain.state())) return;
  while (told || sequence < end) {
    bool is_all = sequence >= end;
    NatsPull::Batch pulled;
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
      is_all = meta->NumPending == 0;
    }
    const bool nothing_yet = status == NATS_TIMEOUT || status == NATS_NOT_FOUND;
    if (told && client.is_lost()) client.away("the connection was lost");
    if (told && is_all && (!chain.damage().empty() || !told(chain.state()))) return;
    if (told && is_all) {
      look = pulled.empty() ? std::min(2 * look, kLongestLook) : kLook;
      std::this_thread::sleep_for(look);
    }
    if (!told && nothing_yet && monotonic_now() - heard > client.timeout())
      client.away(fmt::format("{}: message {} does not come", object(), end));
    if (status == NATS_ERR) client.away(object() + ": " + pull.why());
    if (status != NATS_OK && !nothing_yet) client.fail("read", object(), status, kNoCode);
  }
}

}  // namespace sluice::detail
