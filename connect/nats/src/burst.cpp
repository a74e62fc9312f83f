// SPDX-License-Identifier: Apache-2.0
#include "burst.hpp"

#include <algorithm>
#include <chrono>
#include <random>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

constexpr const char* kMessageId = "Nats-Msg-Id";
constexpr const char* kExpectedLastId = "Nats-Expected-Last-Msg-Id";
constexpr const char* kExpectedLastOfSubject = "Nats-Expected-Last-Subject-Sequence";

// The library may still call back while a connection is taken down, about a burst that is no more. The lock is held during a
// call: one that has begun ends before the burst does.
struct Living {
  std::mutex mutex;
  std::set<const Burst*> bursts;
};
Living& living() {
  static auto* living = new Living;  // Never destroyed: the library's threads may outlive what is.
  return *living;
}

void set_header(const NatsClient& client, natsMsg* message, const char* name, const std::string& value) {
  const natsStatus status = natsMsgHeader_Set(message, name, value.c_str());
  if (status != NATS_OK) client.fail("send to", "a stream", status, static_cast<jsErrCode>(0));
}

std::string unlike_any_other() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}.", random(), random());
}

}  // namespace

Burst::Burst(const NatsClient& client, std::string stream)
    : client_{client}, stream_{std::move(stream)}, ids_{unlike_any_other()} {
  jsOptions options;
  jsOptions_Init(&options);
  options.PublishAsync.AckHandler = &Burst::on_answer;
  options.PublishAsync.AckHandlerClosure = this;
  context_ = client.jetstream_with(options);
  Living& all = living();
  const std::lock_guard lock{all.mutex};
  all.bursts.insert(this);
}

Burst::~Burst() {
  Living& all = living();
  const std::lock_guard lock{all.mutex};
  all.bursts.erase(this);
}

std::span<const Answer> Burst::send(std::size_t count, const Make& make,
                                    std::optional<std::uint64_t> last_sequence) {
  {
    const std::lock_guard lock{mutex_};
    sent_.clear();
    answers_.assign(count, {});
    count_ = cursor_ = 0;
  }
  std::size_t given = 0;
  for (; given < count; ++given) {
    NatsMessagePtr message = make(given);
    if (last_sequence) chain(message.get(), given, count, *last_sequence);
    if (!hand_over(std::move(message), given)) break;
  }
  // Also tells the socket's thread to go at once.
  const natsStatus status = natsConnection_FlushTimeout(client_.connection(), client_.timeout().count());
  if (status != NATS_OK) client_.away(fmt::format("while messages were sent: {}", nats_text(status)));
  await_answers(given);
  return answers_;
}

void Burst::chain(natsMsg* message, std::size_t index, std::size_t count, std::uint64_t last_sequence) {
  if (index == 0) set_header(client_, message, kExpectedLastOfSubject, std::to_string(last_sequence));
  if (index != 0) set_header(client_, message, kExpectedLastId, ids_ + std::to_string(next_id_));
  if (index + 1 != count) set_header(client_, message, kMessageId, ids_ + std::to_string(++next_id_));
}

bool Burst::hand_over(NatsMessagePtr message, std::size_t index) {
  {
    const std::lock_guard lock{mutex_};
    sent_.push_back(message.get());
  }
  natsMsg* given = message.release();
  const natsStatus status = js_PublishMsgAsync(context_.get(), &given, nullptr);
  if (status == NATS_OK) return true;
  message.reset(given);
  const std::lock_guard lock{mutex_};
  sent_.pop_back();
  if (status != NATS_MAX_PAYLOAD)
    client_.away(fmt::format("while messages were sent: {}", nats_text(status)));
  answers_[index] = {Answer::Kind::too_large, 0, nats_text(status)};
  return false;
}

void Burst::await_answers(std::size_t count) {
  constexpr std::chrono::milliseconds kLook{20};
  std::unique_lock lock{mutex_};
  std::size_t seen = count_;
  auto until = std::chrono::steady_clock::now() + client_.timeout();
  while (count_ != count) {
    answered_.wait_for(lock, kLook);
    if (count_ == count) return;
    const auto now = std::chrono::steady_clock::now();
    if (count_ != seen) until = now + client_.timeout();
    seen = count_;
    const bool lost = client_.is_lost();
    if (lost || now >= until) {
      client_.away(fmt::format("{} with {} of {} messages answered",
                               lost ? "the connection was lost" : "no answer", count_, count));
    }
  }
}

void Burst::on_answer(jsCtx* context, natsMsg* message, jsPubAck* ack, jsPubAckErr* error, void* closure) {
  const NatsMessagePtr owned{message};
  Living& all = living();
  const std::lock_guard lock{all.mutex};
  auto* burst = static_cast<Burst*>(closure);
  // Another one may have got its address; the context is of one only, as long as this call lasts.
  if (all.bursts.count(burst) == 0 || burst->context_.get() != context) return;
  burst->note(message, read(ack, error, burst->stream_));
}

void Burst::note(const natsMsg* message, Answer answer) {
  const std::lock_guard lock{mutex_};
  // Answers come in the order of the messages.
  if (cursor_ >= sent_.size() || sent_[cursor_] != message) {
    const auto found = std::find(sent_.begin(), sent_.end(), message);
    if (found == sent_.end()) return;
    cursor_ = static_cast<std::size_t>(found - sent_.begin());
  }
  sent_[cursor_] = nullptr;  // The address may be given out again.
  answers_[cursor_++] = std::move(answer);
  ++count_;
  // The last one, or all that were handed over when one was too large.
  if (count_ == sent_.size()) answered_.notify_one();
}

Answer Burst::read(const jsPubAck* ack, const jsPubAckErr* error, const std::string& stream) {
  using Kind = Answer::Kind;
  if (ack != nullptr) {
    if (stream == ack->Stream) return {Kind::stored, ack->Sequence, {}};
    return {Kind::failed, 0, fmt::format("the stream {} takes its subject, not {}", ack->Stream, stream)};
  }
  const std::string text = error->ErrText != nullptr ? error->ErrText : natsStatus_GetText(error->Err);
  switch (static_cast<int>(error->ErrCode)) {
    case JSStreamWrongLastSequenceErr:
    case JSStreamWrongLastMsgIDErr:
      return {Kind::unexpected, 0, text};
    case JSStreamMessageExceedsMaximumErr:
      return {Kind::too_large, 0, text};
    case JSStreamStoreFailedErr:
      return {text.find("message size") == std::string::npos ? Kind::full : Kind::too_large, 0, text};
    case JSInsufficientResourcesErr:
    case JSMemoryResourcesExceededErr:
    case JSStorageResourcesExceededErr:
    case JSAccountResourcesExceededErr:
    case JSClusterNotAvailErr:
    case JSStreamOfflineErr:
      return {Kind::full, 0, text};
    default:
      break;
  }
  if (error->Err == NATS_NO_RESPONDERS || error->Err == NATS_TIMEOUT)
    return {Kind::full, 0, "nobody takes messages for its subject"};
  return {Kind::failed, 0, text};
}

}  // namespace sluice::detail
