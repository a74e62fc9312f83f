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

// With no body and a header that no publisher may set.
bool is_status(natsMsg* message, const char*& code) {
  return natsMsg_GetDataLength(message) == 0 && natsMsgHeader_Get(message, "Status", &code) == NATS_OK &&
         code != nullptr;
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

natsStatus NatsPull::pull(const Limits& limits, Batch& batch) {
  if (const natsStatus status = take_late_ones(limits.messages, batch); status != NATS_OK || !batch.empty())
    return status;
  const std::string reply = fmt::format("{}.{}", inbox_, ++requests_);
  if (const natsStatus status = ask(limits, reply); status != NATS_OK) return status;
  const auto until = monotonic_now() + limits.within;
  natsStatus status = NATS_OK;
  while (status == NATS_OK && batch.size() < static_cast<std::size_t>(limits.messages)) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - monotonic_now());
    natsMsg* made = nullptr;
    status = natsSubscription_NextMsg(&made, subscription_.get(), std::max<std::int64_t>(left.count(), 0));
    NatsMessagePtr message{made};
    const char* code = nullptr;
    if (status != NATS_OK) break;
    if (is_wake(made)) {
      status = NATS_TIMEOUT;
    } else if (!is_status(made, code)) {
      batch.push_back(std::move(message));
    } else if (natsMsg_GetSubject(made) == reply) {
      status = meaning_of(made);
    }
  }
  return batch.empty() ? status : NATS_OK;
}

// Of a pull before this one, whose time was over.
natsStatus NatsPull::take_late_ones(int most, Batch& batch) {
  std::uint64_t waiting = 0;
  if (const natsStatus status = natsSubscription_QueuedMsgs(subscription_.get(), &waiting); status != NATS_OK)
    return status;
  for (; waiting != 0 && batch.size() < static_cast<std::size_t>(most); --waiting) {
    natsMsg* made = nullptr;
    const natsStatus status = natsSubscription_NextMsg(&made, subscription_.get(), 1);
    NatsMessagePtr message{made};
    const char* code = nullptr;
    // Of a request that is over nobody wants to know more.
    if (status == NATS_NO_RESPONDERS || status == NATS_TIMEOUT) continue;
    if (status != NATS_OK) return status;
    if (is_wake(made)) return batch.empty() ? NATS_TIMEOUT : NATS_OK;
    if (!is_status(made, code)) batch.push_back(std::move(message));
  }
  return NATS_OK;
}

void NatsPull::wake() const noexcept {
  static_cast<void>(natsConnection_Publish(client_.connection(), wake_subject_.c_str(), nullptr, 0));
}

bool NatsPull::is_wake(natsMsg* message) const {
  return natsMsg_GetSubject(message) == wake_subject_;
}

natsStatus NatsPull::ask(const Limits& limits, const std::string& reply) const {
  const auto within = std::max(limits.within - kForTheWay, 1ms);
  const std::string request =
      fmt::format(R"({{"batch":{},"max_bytes":{},"expires":{},"no_wait":true}})", limits.messages,
                  limits.bytes, std::chrono::nanoseconds{within}.count());
  return natsConnection_PublishRequestString(client_.connection(), request_subject_.c_str(), reply.c_str(),
                                             request.c_str());
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
