// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include <sluice/detail/promises.hpp>
#include <sluice/error.hpp>
#include <sluice/key.hpp>

#include "names.hpp"
#include "nats_sink_impl.hpp"
#include "stream_checks.hpp"

namespace sluice {
namespace {

using detail::LastMessage;
using detail::Sent;

constexpr std::uint64_t kLanes = (std::uint64_t{1} << EventId::kLaneBits) - 1;

}  // namespace

NatsSink::Impl::Impl(Worker& worker, NatsSinkOptions options)
    : stream{detail::named_for(options.stream, worker)},
      subject{detail::named_for(options.subject, worker)},
      worker_{worker},
      options_{std::move(options)},
      progress_{worker.state<detail::NatsSinkProgress>(
          fmt::format("nats sink {:016x}", hash_key(stream + "." + subject)))},
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

std::optional<LastMessage> NatsSink::Impl::last_message() const {
  const detail::NatsMessagePtr message = client_.last_message(stream, subject);
  if (!message) return std::nullopt;
  LastMessage last{natsMsg_GetSequence(message.get()), std::nullopt};
  const char* text = nullptr;
  if (natsMsgHeader_Get(message.get(), detail::kPositionHeader, &text) == NATS_OK)
    last.position = detail::read_header(text);
  return last;
}

// Where an earlier process of this worker stopped, or an earlier run.
void NatsSink::Impl::take_over() {
  const std::optional<LastMessage> last = last_message();
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
  refuse_a_later_life(*last);
  // Not by the incarnations of the worker: after a restore from a checkpoint there have been more than it knows of.
  header_.turn = last->position->turn + 1;
  for (const Sent& sent : last->position->sent)
    sent_[sent.lane] = sent;
}

// A start that goes on from a checkpoint of this run has taken over: this one does not take its place back.
void NatsSink::Impl::refuse_a_later_life(const LastMessage& last) const {
  if (last.position->life <= header_.life) return;
  throw Error{
      {"go on sending to", object(),
       fmt::format("its message {} is of a later start of the same run, from a checkpoint, say, which has "
                   "taken over from this one",
                   last.sequence),
       "let this one end: what it did since is the other's to do"}};
}

bool NatsSink::Impl::is_sent(const EventId& event, std::uint32_t index) const {
  const auto lane = sent_.find(event.lane());
  return lane != sent_.end() && lane->second.covers(event.position, index);
}

void NatsSink::Impl::publish(std::string_view message) {
  if (pending_.empty() && !detail::is_in_event(worker_)) detail::refuse_without_event(object());
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
