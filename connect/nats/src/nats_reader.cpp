// SPDX-License-Identifier: Apache-2.0
// How NatsReader and NatsSource read a stream: where they begin, what they make of each message, and when they stop.
#include <algorithm>
#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include <sluice/detail/promises.hpp>
#include <sluice/error.hpp>
#include <sluice/unavailable.hpp>

#include "client.hpp"
#include "fetcher.hpp"
#include "names.hpp"
#include "reader_consumer.hpp"
#include "reader_lag.hpp"
#include "sluice/connect/nats_source.hpp"
#include "stream_checks.hpp"

namespace sluice {
namespace {

constexpr std::chrono::seconds kWait{1};

// What a worker has handled.
struct NatsSourceProgress {
  std::uint64_t next = 0;    // The first sequence that may follow.
  std::int64_t created = 0;  // When the stream was made: its name may be given to another one.
  std::uint64_t handled =
      0;  // The last sequence of which that is known, or which is of another subject; 0: none yet.
};

std::string piece_name(const std::string& key) {
  return "nats source " + key;
}

}  // namespace

class NatsReader::Impl {
 public:
  Impl(Worker& worker, NatsSourceOptions options);
  ~Impl();
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  const NatsMessage* next();
  bool ended() const noexcept {
    return ended_ && handled_.empty() && known_.empty() && safe_.empty() && unconfirmed_ == 0;
  }

 private:
  std::string object() const { return fmt::format("the stream {} of {}", stream_, client_.where()); }
  NatsSourceProgress first(const jsStreamInfo& info) const;
  void check_names() const;
  void check_stream(const jsStreamInfo& info);
  detail::ReaderConsumer consume();
  bool next_batch();
  detail::Fetcher::Batch take();
  void acknowledge(detail::Fetcher::Batch& messages);
  bool confirm() noexcept;
  bool accept(natsMsg* message);
  bool misses_what_is_removed() const { return !queue_ && options_.on_removed == NatsRemoved::stop; }
  // Of a work queue: all that is there was unread, so that what is gone is known.
  bool tells_what_is_removed() const {
    return queue_ && subject_.empty() && options_.on_removed == NatsRemoved::stop;
  }
  detail::JsMetaDataPtr metadata_of(natsMsg* message) const;
  bool has_gaps(const detail::Fetcher::Batch& messages) const;
  std::uint64_t check_removed();
  void rest();
  void look_for(std::uint64_t from, std::uint64_t to) const;
  [[noreturn]] void removed(std::uint64_t from, std::uint64_t to) const;
  void tell_removed(std::uint64_t from, std::uint64_t to);

  Worker& worker_;
  const NatsSourceOptions options_;
  const std::string stream_;
  const std::string subject_;
  detail::NatsClient client_;
  bool queue_ = false;  // Messages are acknowledged, and removed by that.
  bool ended_ = false;
  std::uint64_t others_end_ = 0;  // Up to that sequence others may have read, before this worker began.
  const detail::ReaderKey key_;   // Of its pieces of state and its consumer.
  std::optional<Recoverable<NatsSourceProgress>> progress_;
  detail::ReaderLag lag_;
  std::uint64_t delivered_ = 0;  // By the consumer.
  detail::Fetcher::Batch batch_;
  std::size_t at_ = 0;
  // Of a work queue: what the next commit handles, and what is acknowledged once it is safe; and what was handled before, and
  // given once more.
  detail::Fetcher::Batch handled_;
  detail::Fetcher::Batch known_;
  std::deque<detail::NatsMessagePtr> safe_;
  std::size_t unconfirmed_ = 0;  // Acknowledgements, of which the server may not have heard.
  NatsMessage message_;
  std::optional<detail::Fetcher> fetcher_;
};

NatsReader::Impl::Impl(Worker& worker, NatsSourceOptions options)
    : worker_{worker},
      options_{std::move(options)},
      stream_{detail::named_for(options_.stream, worker)},
      subject_{detail::named_for(options_.subject, worker)},
      client_{options_.server, fmt::format("{}/{}/{}", worker.pipeline(), worker.stage(), worker.replica()),
              true},
      key_{worker, stream_ + " " + subject_} {
  if (options_.follow) worker.declare_endless();
  const auto call = worker.outside(6 * options_.server.timeout);
  check_names();
  const detail::JsStreamInfoPtr info = client_.stream(stream_);
  detail::check_source_stream(*info->Config, client_.where(), options_);
  queue_ = info->Config->Retention == js_WorkQueuePolicy;
  progress_.emplace(worker.state<NatsSourceProgress>(piece_name(key_.text()), first(*info)));
  check_stream(*info);
  if (queue_) {
    if ((*progress_)->handled == 0) others_end_ = info->State.LastSeq;
    // A stage with a flush is committed between two calls only.
    worker.before_commit([] {});
    detail::refuse_lanes_that_drop(worker, "NatsSource of a work queue");
    worker.after_commit([this] { acknowledge(handled_); });
  }
  const detail::ReaderConsumer consumer = consume();
  // Behind the consumer, which may find nothing because it is gone.
  if (misses_what_is_removed()) check_removed();
  fetcher_.emplace(client_, stream_, consumer.name, consumer.batch);
}

// A drain, or the end of a reader that does not ask whether it has ended.
NatsReader::Impl::~Impl() {
  if (unconfirmed_ != 0 && !client_.is_lost()) confirm();
}

void NatsReader::Impl::check_names() const {
  const bool of_one = options_.subject.find("{replica}") != std::string::npos ||
                      options_.stream.find("{replica}") != std::string::npos;
  if (worker_.replicas() > 1 && !of_one) {
    throw Error{{"read", object(),
                 fmt::format("each of the {} workers of {} would read all of it", worker_.replicas(),
                             worker_.stage()),
                 "write {replica} into NatsSourceOptions::subject or stream, or use one worker"}};
  }
}

NatsSourceProgress NatsReader::Impl::first(const jsStreamInfo& info) const {
  const std::uint64_t asked = options_.only_new ? info.State.LastSeq + 1 : options_.first_sequence;
  // It begins with what is there; what is removed from now on is missed.
  return {std::max({asked, info.State.FirstSeq, std::uint64_t{1}}), info.Created, 0};
}

void NatsReader::Impl::check_stream(const jsStreamInfo& info) {
  const NatsSourceProgress& progress = **progress_;
  const auto stop = [this](const std::string& why) {
    throw Error{{"go on reading", object(), why,
                 "start the pipeline anew, with a segment of its own, to read what is there"}};
  };
  if (info.Created != progress.created) stop("it was made anew since it was read");
  if (info.State.LastSeq < progress.handled) {
    stop(fmt::format("it ends at sequence {}, and {} was handled: it has lost messages", info.State.LastSeq,
                     progress.handled));
  }
}

// In a call outside. Gives the last sequence of the stream; throws if its first one is behind what is to be read next, or of a work
// queue tells that, and goes on behind it.
std::uint64_t NatsReader::Impl::check_removed() {
  const jsStreamState state = client_.stream(stream_)->State;
  if (const std::uint64_t next = (*progress_)->next; state.FirstSeq > next) {
    if (!queue_) removed(next, state.FirstSeq - 1);
    tell_removed(next, state.FirstSeq - 1);
    progress_->edit().next = state.FirstSeq;
  }
  return state.LastSeq;
}

// Nothing has come for a while. Whether that is all does not say the server's count of what waits, which nats-server 2.9.10 has one too
// high for as long as a consumer lives that was asked while messages came: it is looked for.
//
// What was removed before it was read no message shows if none comes behind it. And at rest the position follows the stream, so that
// other subjects' messages may go. By what the stream holds:
//   its last sequence is `last`
//   it holds nothing of ours from `next` on: so nothing up to `last`
//   its first sequence is `next` at most: so nothing of ours was removed from there
void NatsReader::Impl::rest() {
  const bool looks = misses_what_is_removed() || tells_what_is_removed();
  if (options_.follow && !looks && !lag_.is_behind()) return;
  const auto call = worker_.outside(3 * options_.server.timeout);
  const std::uint64_t last = looks ? check_removed() : 0;
  const bool is_passed = last >= (*progress_)->next;
  if (options_.follow && !is_passed && !lag_.is_behind()) return;
  if (client_.holds(stream_, subject_.empty() ? ">" : subject_, (*progress_)->next)) return;
  ended_ = !options_.follow;
  lag_.tell(0);
  if (!is_passed) return;
  check_removed();
  progress_->edit().next = last + 1;
  progress_->edit().handled = last;
}

void NatsReader::Impl::removed(std::uint64_t from, std::uint64_t to) const {
  throw Error{
      {"go on reading", object(),
       fmt::format(
           "it has removed the sequences {} to {} before they were read{}", from, to,
           subject_.empty() ? "" : fmt::format(", and messages of {} may have been among them", subject_)),
       "raise its limits (max_age, max_bytes, max_msgs); NatsSourceOptions::on_removed goes on "
       "without them"}};
}

// Of a work queue what is gone is no Error: what this worker had handled and a checkpoint does not know was removed by its own
// acknowledgement. What was there when it began may have been another reader's.
void NatsReader::Impl::tell_removed(std::uint64_t from, std::uint64_t to) {
  if (!subject_.empty() || options_.on_removed != NatsRemoved::stop || to <= others_end_) return;
  worker_.report(fmt::format(
      "the sequences {} to {} of {} were removed before they were read: by its limits, by a person, or by an "
      "acknowledgement that no checkpoint knows",
      from, to, object()));
}

detail::ReaderConsumer NatsReader::Impl::consume() {
  detail::ReaderConsumer consumer = detail::make_reader_consumer(client_, worker_,
                                                                 {.stream = stream_,
                                                                  .subject = subject_,
                                                                  .key = key_.text(),
                                                                  .queue = queue_,
                                                                  .first = (*progress_)->next,
                                                                  .batch = options_.batch});
  ended_ = !options_.follow && consumer.pending == 0 && !tells_what_is_removed();
  return consumer;
}

const NatsMessage* NatsReader::Impl::next() {
  // Behind all that the handler keeps, so that a state without it can be gone on with.
  lag_.claim(worker_, fmt::format("nats {} {}", stream_, subject_.empty() ? ">" : subject_), key_.text(),
             piece_name(key_.text()));
  // By this process, or by one before it: what came before this call has been committed.
  acknowledge(known_);
  while (!ended_ && (at_ < batch_.size() || next_batch())) {
    natsMsg* message = batch_[at_++].get();
    const bool is_new = accept(message);
    if (queue_) (is_new ? handled_ : known_).push_back(std::move(batch_[at_ - 1]));
    if (is_new) return &message_;
  }
  // What the server has not heard of stays in the queue, for who comes next, when the connection ends with this worker.
  if (ended_ && unconfirmed_ != 0 && !confirm()) client_.away("the last acknowledgements are not confirmed");
  return nullptr;
}

// Whether the server has heard of all acknowledgements. A connection that ends takes along what it had not read.
bool NatsReader::Impl::confirm() noexcept {
  const auto call = worker_.outside(2 * kWait);
  if (natsConnection_FlushTimeout(client_.connection(), std::chrono::milliseconds{kWait}.count()) == NATS_OK)
    unconfirmed_ = 0;
  return unconfirmed_ == 0;
}

// Once what is committed by now is safe.
void NatsReader::Impl::acknowledge(detail::Fetcher::Batch& messages) {
  const std::size_t count = messages.size();
  if (count == 0) return;
  std::move(messages.begin(), messages.end(), std::back_inserter(safe_));
  messages.clear();
  worker_.when_safe([this, count] {
    for (std::size_t i = 0; i < count; ++i) {
      natsConnection_PublishString(client_.connection(), natsMsg_GetReply(safe_.front().get()), "+ACK");
      safe_.pop_front();
      ++unconfirmed_;
    }
  });
}

bool NatsReader::Impl::next_batch() {
  // In a stage with flushes a wait commits nothing: the call before it ends first.
  if (!handled_.empty()) return false;
  const bool there = worker_.wait_for(fetcher_->fd(), kWait);
  batch_.clear();
  at_ = 0;
  if (there) batch_ = take();
  if (!there) rest();
  lag_.note_sizes_of(batch_);
  if (!batch_.empty() && !subject_.empty() && misses_what_is_removed() && has_gaps(batch_)) {
    // Before any of it is handled: a death would hide a gap that was passed.
    const auto call = worker_.outside(options_.server.timeout);
    check_removed();
  }
  return !batch_.empty();
}

detail::Fetcher::Batch NatsReader::Impl::take() {
  try {
    return fetcher_->take();
  } catch (const Unavailable&) {
    if (!client_.is_lost())
      detail::refuse_swallowed(client_, worker_, stream_, (*progress_)->next, ~std::uint64_t{0});
    throw;
  }
}

detail::JsMetaDataPtr NatsReader::Impl::metadata_of(natsMsg* message) const {
  jsMsgMetaData* made = nullptr;
  if (const natsStatus status = natsMsg_GetMetaData(&made, message); status != NATS_OK)
    client_.fail("read", "the stream " + stream_, status, static_cast<jsErrCode>(0));
  return detail::JsMetaDataPtr{made};
}

bool NatsReader::Impl::has_gaps(const detail::Fetcher::Batch& messages) const {
  const std::uint64_t next = (*progress_)->next;
  return metadata_of(messages.front().get())->Sequence.Stream != next ||
         metadata_of(messages.back().get())->Sequence.Stream != next + messages.size() - 1;
}

// Whether it is to be handled; not when it was.
bool NatsReader::Impl::accept(natsMsg* message) {
  const detail::JsMetaDataPtr meta = metadata_of(message);
  const std::uint64_t sequence = meta->Sequence.Stream;
  const std::uint64_t next = (*progress_)->next;
  if (meta->Sequence.Consumer != delivered_ + 1) {
    detail::refuse_swallowed(client_, worker_, stream_, next, sequence);
    client_.away(fmt::format("message {} of a consumer came behind {}: some were lost on the way",
                             meta->Sequence.Consumer, delivered_));
  }
  ++delivered_;
  if (!options_.follow && meta->NumPending == 0) ended_ = true;
  if (sequence < next) {
    if (queue_) return false;
    throw Error{{"go on reading", object(),
                 fmt::format("sequence {} came, and {} was handled", sequence, next - 1),
                 "the server gives what it gave before; look at its log"}};
  }
  if (sequence > next && subject_.empty() && misses_what_is_removed()) look_for(next, sequence - 1);
  if (sequence > next && queue_) tell_removed(next, sequence - 1);
  auto& progress = progress_->edit();
  progress.next = sequence + 1;
  progress.handled = sequence;
  // Where a pull begins and ends: what the server said then waits behind this message.
  if (at_ == 1 || at_ == batch_.size()) lag_.tell(meta->NumPending);
  message_ = {natsMsg_GetSubject(message),
              {natsMsg_GetData(message), static_cast<std::size_t>(natsMsg_GetDataLength(message))},
              sequence,
              meta->Timestamp};
  return true;
}

// Sequences that were not delivered: they must have been removed one by one, not by a limit before they were read.
void NatsReader::Impl::look_for(std::uint64_t from, std::uint64_t to) const {
  const auto call = worker_.outside(3 * options_.server.timeout);
  if (const std::uint64_t first = client_.stream(stream_)->State.FirstSeq; first > from)
    removed(from, std::min(to, first - 1));
  if (client_.message(stream_, from)) {
    throw Error{{"go on reading", object(),
                 fmt::format("sequence {} was not delivered, though it is there", from),
                 "look at the server's log; a start anew reads it"}};
  }
}

NatsReader::NatsReader(Worker& worker, NatsSourceOptions options)
    : impl_{std::make_unique<Impl>(worker, std::move(options))} {}
NatsReader::~NatsReader() = default;

const NatsMessage* NatsReader::next() {
  return impl_->next();
}
bool NatsReader::ended() const noexcept {
  return impl_->ended();
}

NatsSource::NatsSource(Worker& worker, NatsSourceOptions options) : reader_{worker, std::move(options)} {}

SourceState NatsSource::operator()(Output<Bytes>& out) {
  if (const NatsMessage* message = reader_.next()) {
    out.push(Bytes{message->data});
    return SourceState::more;
  }
  return reader_.ended() ? SourceState::end : SourceState::nothing_now;
}

}  // namespace sluice
