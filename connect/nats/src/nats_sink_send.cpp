// SPDX-License-Identifier: Apache-2.0
// How NatsSink sends the messages of a batch, and what it does about each answer.
#include <algorithm>
#include <utility>

#include <sluice/error.hpp>
#include <sluice/refused.hpp>
#include <sluice/unavailable.hpp>

#include "nats_sink_impl.hpp"

namespace sluice {
namespace {

using detail::Answer;
using detail::LastMessage;
using detail::PendingMessage;
using detail::Sent;

constexpr const char* kMessageId = "Nats-Msg-Id";
// What all headers of a message take beside Sluice-Position, at most.
constexpr std::size_t kHeaderBytes = 240;
// Of one burst: the library holds them in memory.
constexpr std::size_t kBurstBytes = std::size_t{8} << 20U;

}  // namespace

void NatsSink::Impl::flush(std::span<const Covered> covered) {
  forget_committed(covered);
  refuse_what_is_too_large();
  for (std::size_t next = skip_sent(0); next < pending_.size(); next = skip_sent(next))
    next += send(next, burst_at(next));
  if (!pending_.empty() && last_sequence_ != progress_->sequence) progress_.edit().sequence = last_sequence_;
  pending_.clear();
  text_.clear();
  event_ = {};
  for (const Covered& lane : covered)
    committed_[lane.first.lane()] = lane.end;
}

// What is before this batch is committed: no message needs to say it any more.
void NatsSink::Impl::forget_committed(std::span<const Covered> covered) {
  for (const Covered& lane : covered)
    committed_[lane.first.lane()] = lane.first.position;
  std::erase_if(sent_, [this](const auto& sent) {
    const auto committed = committed_.find(sent.first);
    return committed != committed_.end() && sent.second.position < committed->second;
  });
}

void NatsSink::Impl::refuse_what_is_too_large() const {
  constexpr std::size_t kLaneBytes = 40;
  const std::size_t headers = kHeaderBytes + kLaneBytes * (sent_.size() + committed_.size() + 1);
  std::vector<RefusedEvent> refused;
  for (const PendingMessage& pending : pending_) {
    if (pending.size + headers <= largest_ || (!refused.empty() && refused.back().id == pending.event))
      continue;
    refused.push_back({pending.event,
                       fmt::format("a message of {} bytes and up to {} of headers is too large for {}, which "
                                   "takes {}: raise max_payload of the server, max_msg_size of the stream",
                                   pending.size, headers, object(), largest_)});
  }
  if (!refused.empty()) throw Refused{std::move(refused)};
}

std::size_t NatsSink::Impl::skip_sent(std::size_t from) const {
  while (from < pending_.size() && is_sent(pending_[from].event, pending_[from].index))
    ++from;
  return from;
}

std::size_t NatsSink::Impl::burst_at(std::size_t from) const {
  const std::size_t most = std::min(window_, pending_.size() - from);
  std::size_t bytes = 0;
  std::size_t count = 0;
  while (count < most && (count == 0 || bytes + pending_[from + count].size <= kBurstBytes))
    bytes += pending_[from + count++].size;
  return count;
}

std::string NatsSink::Impl::position_with(const PendingMessage& pending) {
  const std::uint32_t own = pending.event.lane();
  header_.sent.assign(1, {own, pending.event.position, pending.index + 1});
  for (const auto& [lane, sent] : sent_) {
    if (lane != own) header_.sent.push_back(sent);
  }
  return detail::to_header(header_);
}

detail::NatsMessagePtr NatsSink::Impl::message_of(const PendingMessage& pending) {
  natsMsg* made = nullptr;
  natsStatus status = natsMsg_Create(&made, subject.c_str(), nullptr, text_.data() + pending.offset,
                                     static_cast<int>(pending.size));
  detail::NatsMessagePtr message{made};
  const std::string value = options_.shared_subject
                                ? fmt::format("{}/{}", to_string(pending.event), pending.index)
                                : position_with(pending);
  if (status == NATS_OK) {
    status = natsMsgHeader_Set(made, options_.shared_subject ? kMessageId : detail::kPositionHeader,
                               value.c_str());
  }
  if (status != NATS_OK) client_.fail("send to", object(), status, static_cast<jsErrCode>(0));
  return message;
}

void NatsSink::Impl::note_sent(const PendingMessage& pending) {
  const std::uint32_t lane = pending.event.lane();
  sent_[lane] = {lane, pending.event.position, pending.index + 1};
}

// Sends so many messages from there on; how many of them are dealt with.
std::size_t NatsSink::Impl::send(std::size_t from, std::size_t count) {
  const auto call = worker_.outside(3 * options_.server.timeout);
  const std::map<std::uint32_t, Sent> before = sent_;
  const std::optional<std::uint64_t> last =
      options_.shared_subject ? std::nullopt : std::optional{last_sequence_};
  const auto make = [this, from](std::size_t index) {
    detail::NatsMessagePtr message = message_of(pending_[from + index]);
    note_sent(pending_[from + index]);
    return message;
  };
  const std::span<const Answer> answers = burst_.send(count, make, last);
  sent_ = before;
  for (std::size_t index = 0; index < count; ++index) {
    const PendingMessage& pending = pending_[from + index];
    if (answers[index].kind != Answer::Kind::stored) {
      window_ = std::max<std::size_t>(index, 1);
      act_on(pending, answers[index]);
      return index;
    }
    last_sequence_ = answers[index].sequence;
    note_sent(pending);
  }
  vain_ = 0;
  window_ = std::min(2 * window_, std::max<std::size_t>(options_.in_flight, 1));
  return count;
}

void NatsSink::Impl::act_on(const PendingMessage& pending, const Answer& answer) {
  switch (answer.kind) {
    case Answer::Kind::unexpected:
      return find_out(answer.text);
    case Answer::Kind::too_large:
      throw Refused{{{pending.event, fmt::format("{}: {}", object(), answer.text)}}};
    case Answer::Kind::full:
      throw Unavailable{
          fmt::format("{}: {}: make room in the stream, or raise its limits", object(), answer.text)};
    default:
      throw Error{{"send to", object(), answer.text, ""}};
  }
}

// The last sequence is not what a message expected: the stream has other writers, or a predecessor's messages came late.
void NatsSink::Impl::find_out(const std::string& text) {
  const std::optional<LastMessage> last = last_message();
  const std::uint64_t sequence = last ? last->sequence : 0;
  const bool moved = sequence != last_sequence_;
  // Whether any of that was committed a start finds out, take_over().
  if (sequence < last_sequence_)
    throw Unavailable{fmt::format("{} ends at message {}, and message {} was stored there", object(),
                                  sequence, last_sequence_)};
  if (last && moved) {
    if (!last->position || last->position->origin != origin_) {
      throw Error{{"go on sending to", object(), fmt::format("its message {} is of another writer", sequence),
                   "give each writer a subject of its own, or set NatsSinkOptions::shared_subject"}};
    }
    refuse_a_later_life(*last);
    // What an earlier life had in its socket is this one's own.
    if (last->position->life == header_.life && last->position->turn > header_.turn) {
      throw Error{
          {"go on sending to", object(),
           fmt::format("its message {} is of a process of this worker that has taken over from this one",
                       sequence),
           "this one was stopped meanwhile; let it end"}};
    }
    for (const Sent& sent : last->position->sent)
      sent_[sent.lane] = sent;
  }
  // One that strangers come before again and again gets through alone; what is refused alone, with nothing new, is not.
  constexpr unsigned kVain = 3;
  vain_ = moved ? 0 : vain_ + 1;
  if (vain_ > kVain)
    throw Error{{"go on sending to", object(), text, "look at what else changes the stream"}};
  last_sequence_ = sequence;
}

}  // namespace sluice
