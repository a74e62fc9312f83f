// SPDX-License-Identifier: Apache-2.0
#include "pull.hpp"

#include <algorithm>
#include <string_view>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>

namespace sluice::detail {
namespace {

using namespace std::chrono_literals;

// The server's time for a request is shorter than ours, so that its word of the end is heard.
constexpr std::chrono::milliseconds kForTheWay = 10ms;

// A word of the server: with no body and a header that a publisher may set, too, but whose subject is then that of the stream.
bool is_status(natsMsg* message, const std::string& inbox) {
  const char* code = nullptr;
  return natsMsg_GetDataLength(message) == 0 && natsMsgHeader_Get(message, "Status", &code) == NATS_OK &&
         code != nullptr && std::string_view{natsMsg_GetSubject(message)}.starts_with(inbox);
}

std::string new_inbox(const NatsClient& client) {
  natsInbox* made = nullptr;
  if (const natsStatus status = natsInbox_Create(&made); status != NATS_OK)
    client.fail("make", "an inbox", status, static_cast<jsErrCode>(0));
  std::string inbox = made;
  natsInbox_Destroy(made);
  return inbox;
}

}  // namespace

NatsPull::NatsPull(const NatsClient& client, const std::string& stream, const std::string& consumer)
    : client_{client},
      request_subject_{client.api("CONSUMER.MSG.NEXT." + stream + "." + consumer)},
      inbox_{new_inbox(client)},
      wake_subject_{inbox_ + ".wake"} {
  natsSubscription* made = nullptr;
  const natsStatus status = natsConnection_SubscribeSync(&made, client.connection(), (inbox_ + ".*").c_str());
  if (status != NATS_OK) client.fail("read", "the stream " + stream, status, static_cast<jsErrCode>(0));
  subscription_.reset(made);
  natsSubscription_SetPendingLimits(made, -1, -1);
}

// A second request beside one that is open would wait in vain: the server gives what comes to the first.
natsStatus NatsPull::pull(const Limits& limits, Batch& batch) {
  if (const natsStatus status = take_late_ones(limits.messages, batch); status != NATS_OK || !batch.empty())
    return status;
  if (std::exchange(nobody_answers_, false)) return NATS_NO_RESPONDERS;
  natsStatus status = open_ ? NATS_OK : ask(limits);
  while (status == NATS_OK && open_ && batch.size() < static_cast<std::size_t>(limits.messages))
    status = take_next(batch);
  if (batch.empty()) return status;
  nobody_answers_ = status == NATS_NO_RESPONDERS;
  return NATS_OK;
}

// Of the request that the server has.
natsStatus NatsPull::take_next(Batch& batch) {
  const bool is_enough = !late_.empty() && !batch.empty();
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(open_->until - monotonic_now());
  natsMsg* made = nullptr;
  const natsStatus status = natsSubscription_NextMsg(&made, subscription_.get(),
                                                     is_enough ? 0 : std::max<std::int64_t>(left.count(), 0));
  NatsMessagePtr message{made};
  if (status == NATS_OK) return take(std::move(message), batch);
  if (is_enough) return status;
  if (status == NATS_TIMEOUT) late_ = open_->reply;
  open_.reset();
  return status;
}

// Of a pull before this one, which has ended.
natsStatus NatsPull::take_late_ones(int most, Batch& batch) {
  std::uint64_t waiting = 0;
  natsStatus status = natsSubscription_QueuedMsgs(subscription_.get(), &waiting);
  for (; status == NATS_OK && waiting != 0 && batch.size() < static_cast<std::size_t>(most); --waiting) {
    natsMsg* made = nullptr;
    status = natsSubscription_NextMsg(&made, subscription_.get(), 1);
    NatsMessagePtr message{made};
    if (status == NATS_OK) {
      status = take(std::move(message), batch);
    } else if (status == NATS_NO_RESPONDERS || status == NATS_TIMEOUT) {
      // Of which request is not known: should it be the newest, the next one is answered so too.
      open_.reset();
      status = NATS_OK;
    }
  }
  return batch.empty() ? status : NATS_OK;
}

// What came. Other than NATS_OK: the pull ends.
natsStatus NatsPull::take(NatsMessagePtr message, Batch& batch) {
  natsMsg* const it = message.get();
  if (natsMsg_GetSubject(it) == wake_subject_) return NATS_TIMEOUT;
  if (!is_status(it, inbox_)) {
    batch.push_back(std::move(message));
    if (open_ && --open_->left == 0) open_.reset();
    return NATS_OK;
  }
  if (natsMsg_GetSubject(it) == late_) {
    late_.clear();
    return batch.empty() ? NATS_OK : NATS_TIMEOUT;
  }
  // Of a request that is over nobody wants to know more.
  if (!open_ || natsMsg_GetSubject(it) != open_->reply) return NATS_OK;
  const natsStatus meaning = meaning_of(it);
  if (meaning != NATS_OK) open_.reset();
  return meaning;
}

void NatsPull::wake() const noexcept {
  static_cast<void>(natsConnection_Publish(client_.connection(), wake_subject_.c_str(), nullptr, 0));
}

natsStatus NatsPull::ask(const Limits& limits) {
  const auto within = std::max(limits.within - kForTheWay, 1ms);
  const std::string request =
      fmt::format(R"({{"batch":{},"max_bytes":{},"expires":{},"no_wait":true}})", limits.messages,
                  limits.bytes, std::chrono::nanoseconds{within}.count());
  Request asked{.reply = fmt::format("{}.{}", inbox_, ++requests_),
                .left = static_cast<std::size_t>(limits.messages),
                .until = monotonic_now() + limits.within};
  const natsStatus status = natsConnection_PublishRequestString(
      client_.connection(), request_subject_.c_str(), asked.reply.c_str(), request.c_str());
  if (status == NATS_OK) open_ = std::move(asked);
  return status;
}

natsStatus NatsPull::meaning_of(natsMsg* message) {
  const char* code = nullptr;
  const char* words = nullptr;
  natsMsgHeader_Get(message, "Status", &code);
  const std::string_view status{code};
  if (status == "100") return NATS_OK;
  if (status == "404") return NATS_NOT_FOUND;
  if (status == "408") return NATS_TIMEOUT;
  natsMsgHeader_Get(message, "Description", &words);
  why_ = words != nullptr ? words : "status " + std::string{status};
  return NATS_ERR;
}

}  // namespace sluice::detail
