// SPDX-License-Identifier: Apache-2.0
#include "sluice/connect/nats_sink.hpp"

#include <algorithm>
#include <map>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/refused.hpp>
#include <sluice/unavailable.hpp>

#include "burst.hpp"
#include "client.hpp"
#include "names.hpp"
#include "position_header.hpp"
#include "stream_checks.hpp"

namespace sluice {
namespace {

using detail::Answer;
using detail::PositionHeader;
using detail::Sent;

constexpr std::uint64_t kLanes = (std::uint64_t{1} << EventId::kLaneBits) - 1;
constexpr const char* kMessageId = "Nats-Msg-Id";
// What all headers of a message take beside Sluice-Position, at most.
constexpr std::size_t kHeaderBytes = 160;
// Of one burst: the library holds them in memory.
constexpr std::size_t kBurstBytes = std::size_t{8} << 20U;

// The sequence of the last message of the subject that a commit covers. 0: none yet.
struct NatsSinkProgress {
  std::uint64_t sequence = 0;
};

struct Pending {
  EventId event;
  std::uint32_t index;  // Among the messages of the event.
  std::size_t offset;   // Of its bytes, in text_.
  std::size_t size;
};

// The last message of the subject.
struct Last {
  std::uint64_t sequence = 0;
  std::optional<PositionHeader> position;  // Nothing for a message that is none of ours.
};

}  // namespace

class NatsSink::Impl {
 public:
  Impl(Worker& worker, NatsSinkOptions options);

  void publish(std::string_view message);

  const std::string stream;
  const std::string subject;

 private:
  bool is_sent(const EventId& event, std::uint32_t index) const;
  std::string object() const {
    return fmt::format("the subject {} of the stream {} at {}", subject, stream, client_.where());
  }
  std::optional<Last> last_message() const;
  void check_subject() const;
  void probe() const;
  void take_over();
  void flush(std::span<const Covered> covered);
  void forget_committed(std::span<const Covered> covered);
  void refuse_what_is_too_large() const;
  std::size_t skip_sent(std::size_t from) const;
  std::size_t burst_at(std::size_t from) const;
  detail::NatsMessagePtr message_of(const Pending& pending);
  std::string position_with(const Pending& pending);
  std::size_t send(std::size_t from, std::size_t count);
  void note_sent(const Pending& pending);
  void act_on(const Pending& pending, const Answer& answer);
  void find_out(const std::string& text);

  Worker& worker_;
  const NatsSinkOptions options_;
  Recoverable<NatsSinkProgress> progress_;
  const std::uint64_t origin_;
  detail::NatsClient client_;
  detail::Burst burst_;
  std::size_t largest_ = 0;          // Payload and headers, in bytes.
  std::uint64_t last_sequence_ = 0;  // Of the subject, as far as we know.
  // How many messages at a time get through. After a failure one goes alone, which says where the stream is now.
  std::size_t window_ = 1;
  bool alone_ = true;
  unsigned vain_ = 0;                                 // Refusals in a row with nothing new on the subject.
  std::map<std::uint32_t, Sent> sent_;                // By lane.
  std::map<std::uint32_t, std::uint64_t> committed_;  // By lane: the position up to which events are.
  std::vector<Pending> pending_;
  std::string text_;
  EventId event_;            // The last one that published.
  std::uint32_t index_ = 0;  // Of its next message.
};

NatsSink::Impl::Impl(Worker& worker, NatsSinkOptions options)
    : stream{detail::named_for(options.stream, worker)},
      subject{detail::named_for(options.subject, worker)},
      worker_{worker},
      options_{std::move(options)},
      progress_{worker.state<NatsSinkProgress>("nats " + subject.substr(0, 34))},
      origin_{worker.event_id().origin & ~kLanes},
      client_{options_.server, fmt::format("{}/{}/{}", worker.pipeline(), worker.stage(), worker.replica()),
              false},
      burst_{client_, stream},
      window_{std::max<std::size_t>(options_.in_flight, 1)} {
  const auto call = worker.outside(4 * options_.server.timeout);
  check_subject();
  const detail::JsStreamInfoPtr info = client_.stream(stream);
  detail::check_sink_stream(*info->Config,
                            {client_.where(), subject, options_.shared_subject, options_.trust_replicas});
  largest_ =
      static_cast<std::size_t>(std::max<std::int64_t>(natsConnection_GetMaxPayload(client_.connection()), 0));
  if (info->Config->MaxMsgSize >= 0)
    largest_ = std::min(largest_, static_cast<std::size_t>(info->Config->MaxMsgSize));
  if (!options_.shared_subject) {
    probe();
    take_over();
  }
  worker.before_commit([this](std::span<const Covered> covered) { flush(covered); });
}

void NatsSink::Impl::check_subject() const {
  if (!detail::is_subject(subject)) {
    throw Error{{"send to", object(), "it is no subject to send to",
                 "write tokens with dots between them, without spaces, * and >"}};
  }
  const bool of_one = options_.subject.find("{replica}") != std::string::npos ||
                      options_.stream.find("{replica}") != std::string::npos;
  if (worker_.replicas() > 1 && !of_one && !options_.shared_subject) {
    throw Error{
        {"send to", object(),
         fmt::format("the {} workers of {} would share it", worker_.replicas(), worker_.stage()),
         "write {replica} into NatsSinkOptions::subject, or set shared_subject, which is less exact"}};
  }
}

// A server that knows nothing of expectations would store what expects the impossible.
void NatsSink::Impl::probe() const {
  jsPubOptions options;
  jsPubOptions_Init(&options);
  options.ExpectStream = stream.c_str();
  options.ExpectLastSubjectSeq = static_cast<std::uint64_t>(INT64_MAX);
  jsPubAck* made = nullptr;
  auto code = static_cast<jsErrCode>(0);
  const natsStatus status =
      js_Publish(&made, client_.jetstream(), subject.c_str(), nullptr, 0, &options, &code);
  if (status == NATS_OK) {
    js_DeleteMsg(client_.jetstream(), stream.c_str(), made->Sequence, nullptr, nullptr);
    jsPubAck_Destroy(made);
    throw Error{{"send to", object(), "the server stores messages whatever they expect",
                 "use nats-server 2.3.0 or later"}};
  }
  if (static_cast<int>(code) != JSStreamWrongLastSequenceErr) client_.fail("send to", object(), status, code);
}

std::optional<Last> NatsSink::Impl::last_message() const {
  natsMsg* made = nullptr;
  auto code = static_cast<jsErrCode>(0);
  const natsStatus status =
      js_GetLastMsg(&made, client_.jetstream(), stream.c_str(), subject.c_str(), nullptr, &code);
  const detail::NatsMessagePtr message{made};
  if (status == NATS_NOT_FOUND && static_cast<int>(code) == JSNoMessageFoundErr) return std::nullopt;
  if (status != NATS_OK) client_.fail("read the last message of", object(), status, code);
  Last last{natsMsg_GetSequence(made), std::nullopt};
  const char* text = nullptr;
  if (natsMsgHeader_Get(made, detail::kPositionHeader, &text) == NATS_OK)
    last.position = detail::read_header(text);
  return last;
}

// Where an earlier process of this worker stopped, or an earlier run.
void NatsSink::Impl::take_over() {
  const std::optional<Last> last = last_message();
  const std::uint64_t known = progress_->sequence;
  if (last) last_sequence_ = last->sequence;
  if (worker_.run() == 0) return;  // Every run_inline gives the same ids.
  if (known > last_sequence_ && options_.on_removed == NatsRemoved::stop) {
    throw Error{
        {"go on sending to", object(),
         fmt::format(
             "it ends at sequence {}, and message {} was stored there: the stream has removed or lost it, so "
             "nothing says whether more was sent after the last commit",
             last_sequence_, known),
         "let the stream keep the last message of each subject; NatsSinkOptions::on_removed goes on "
         "without"}};
  }
  const bool ours = last && last->position && last->position->origin == origin_;
  if (!ours) {
    if (known != 0 && last && known != last->sequence && known <= last->sequence) {
      throw Error{
          {"go on sending to", object(),
           fmt::format("its last message, {}, is of another writer, and {} was stored before by this one",
                       last->sequence, known),
           "give each writer a subject of its own, or set NatsSinkOptions::shared_subject"}};
    }
    return;
  }
  for (const Sent& sent : last->position->sent)
    sent_[sent.lane] = sent;
}

bool NatsSink::Impl::is_sent(const EventId& event, std::uint32_t index) const {
  const auto lane = sent_.find(event.lane());
  return lane != sent_.end() && lane->second.covers(event.position, index);
}

void NatsSink::Impl::publish(std::string_view message) {
  const EventId& event = worker_.event_id();
  if (event != event_) {
    event_ = event;
    index_ = 0;
  }
  const std::uint32_t index = index_++;
  if (is_sent(event, index)) return;
  pending_.push_back({event, index, text_.size(), message.size()});
  text_.append(message);
}

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
  for (const Pending& pending : pending_) {
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
  const bool chained = !options_.shared_subject;
  const std::size_t most = std::min(chained && alone_ ? 1 : window_, pending_.size() - from);
  std::size_t bytes = 0;
  std::size_t count = 0;
  while (count < most && (count == 0 || bytes + pending_[from + count].size <= kBurstBytes))
    bytes += pending_[from + count++].size;
  return count;
}

std::string NatsSink::Impl::position_with(const Pending& pending) {
  const std::uint32_t own = pending.event.lane();
  PositionHeader header{origin_, worker_.incarnation(), {{own, pending.event.position, pending.index + 1}}};
  for (const auto& [lane, sent] : sent_) {
    if (lane != own) header.sent.push_back(sent);
  }
  return detail::to_header(header);
}

detail::NatsMessagePtr NatsSink::Impl::message_of(const Pending& pending) {
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

void NatsSink::Impl::note_sent(const Pending& pending) {
  const std::uint32_t lane = pending.event.lane();
  sent_[lane] = {lane, pending.event.position, pending.index + 1};
}

// Sends so many messages from there on; how many of them are dealt with.
std::size_t NatsSink::Impl::send(std::size_t from, std::size_t count) {
  const auto call = worker_.outside(3 * options_.server.timeout);
  const std::map<std::uint32_t, Sent> before = sent_;
  std::vector<detail::NatsMessagePtr> messages;
  messages.reserve(count);
  for (std::size_t index = from; index < from + count; ++index) {
    messages.push_back(message_of(pending_[index]));
    note_sent(pending_[index]);
  }
  const std::optional<std::uint64_t> last =
      options_.shared_subject ? std::nullopt : std::optional{last_sequence_};
  const std::span<const Answer> answers = burst_.send(std::move(messages), last);
  sent_ = before;
  for (std::size_t index = 0; index < count; ++index) {
    const Pending& pending = pending_[from + index];
    if (answers[index].kind != Answer::Kind::stored) {
      window_ = std::max<std::size_t>(index, 1);
      alone_ = true;
      act_on(pending, answers[index]);
      return index;
    }
    last_sequence_ = answers[index].sequence;
    note_sent(pending);
  }
  vain_ = 0;
  if (!alone_) window_ = std::min(2 * window_, std::max<std::size_t>(options_.in_flight, 1));
  alone_ = false;
  return count;
}

void NatsSink::Impl::act_on(const Pending& pending, const Answer& answer) {
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
  const std::optional<Last> last = last_message();
  const std::uint64_t sequence = last ? last->sequence : 0;
  const bool moved = sequence != last_sequence_;
  if (last && moved) {
    if (!last->position || last->position->origin != origin_) {
      throw Error{{"go on sending to", object(), fmt::format("its message {} is of another writer", sequence),
                   "give each writer a subject of its own, or set NatsSinkOptions::shared_subject"}};
    }
    if (last->position->incarnation > worker_.incarnation()) {
      throw Error{{"go on sending to", object(),
                   fmt::format("process {} of this worker has taken over from process {}",
                               last->position->incarnation, worker_.incarnation()),
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

NatsSink::NatsSink(Worker& worker, NatsSinkOptions options)
    : impl_{std::make_unique<Impl>(worker, std::move(options))} {}
NatsSink::~NatsSink() = default;

void NatsSink::publish(std::string_view message) {
  impl_->publish(message);
}
const std::string& NatsSink::stream() const noexcept {
  return impl_->stream;
}
const std::string& NatsSink::subject() const noexcept {
  return impl_->subject;
}

}  // namespace sluice
