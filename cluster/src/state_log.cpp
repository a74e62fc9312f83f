// SPDX-License-Identifier: Apache-2.0
#include "state_log.hpp"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <random>
#include <sys/stat.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/unavailable.hpp>

#include "partition_record.hpp"
#include "source_reads.hpp"
#include "state_stream.hpp"

namespace sluice::detail {
namespace {

constexpr std::size_t kPartBytes = std::size_t{512} << 10;
constexpr std::int64_t kHeaderBytes = 1 << 10;
// From one look at what the stream is to the next: it may be edited at any time, and forget what is in it without a word.
constexpr std::chrono::seconds kBetweenLooks{1};
// Of one message, with what is left of them after lost answers and connections.
constexpr unsigned kTries = 3;

std::string unlike_any_other() {
  std::random_device random;
  return fmt::format("{:08x}{:08x}", random(), random());
}

}  // namespace

StateLog::StateLog(StateLogOptions options)
    : options_{std::move(options)},
      stream_{state_stream(options_.cluster)},
      subject_{state_subject(options_.cluster, options_.partition)},
      writer_{unlike_any_other()} {}

std::string StateLog::object() const {
  return fmt::format("the checkpoints of partition {} in the stream {}", options_.partition, stream_);
}

const NatsClient& StateLog::client(MissingStream missing) {
  if (client_ && client_->is_lost()) client_.reset();
  if (client_) return *client_;
  auto made = std::make_unique<NatsClient>(
      options_.server, fmt::format("{}@{}/{}", options_.cluster, options_.host, options_.partition), true);
  look_at_stream(*made, missing);
  client_ = std::move(made);
  ++connections_;
  return *client_;
}

void StateLog::look_at_stream(const NatsClient& client, MissingStream missing) {
  const auto allowed = prepare_state_stream(client, options_.cluster, missing);
  std::int64_t largest = natsConnection_GetMaxPayload(client.connection());
  if (allowed) largest = std::min(largest, static_cast<std::int64_t>(*allowed));
  part_bytes_ =
      std::min(kPartBytes, static_cast<std::size_t>(std::max(largest, 2 * kHeaderBytes) - kHeaderBytes));
  looked_ = std::chrono::steady_clock::now();
}

StateLog::Last StateLog::last() {
  const NatsClient& client = this->client();
  const NatsMessagePtr message = last_state_message(client, options_.cluster, options_.partition);
  if (!message) return {};
  return {natsMsg_GetSequence(message.get()), read_state_message(message.get()),
          read_source_reads(message.get())};
}

StateMessage StateLog::headers() const {
  StateMessage headers;
  headers.epoch = epoch_;
  headers.host = options_.host;
  headers.writer = writer_;
  headers.stored = stored_;
  return headers;
}

void StateLog::fence(const StateMessage& other) const {
  throw Fenced{{"go on with", object(),
                fmt::format("host {} has taken it over with epoch {}, and this one had epoch {}", other.host,
                            other.epoch, epoch_),
                "let this process end: nothing that it does counts any more"}};
}

void StateLog::claim(std::uint64_t epoch) {
  client(MissingStream::make);
  epoch_ = epoch;
  base_is_due_ = true;
  while (true) {
    const Last before = last();
    if (before.sequence != 0 && !before.message) {
      throw Error{{"claim", object(), fmt::format("message {} there is of somebody else", before.sequence),
                   "find out who else writes to " + subject_ + "; delete that message then"}};
    }
    if (before.message && before.message->epoch >= epoch) fence(*before.message);
    expected_ = before.sequence;
    stored_ = before.message ? before.message->stored : 0;
    reads_ = before.reads;
    only_claimed_ = true;
    try {
      return store(headers(), {});
    } catch (const Fenced&) {
      throw;
    } catch (const Error&) {
      // Its former owner has stored something meanwhile, or another claimed it: each time somebody has got on.
      if (last().sequence == before.sequence) throw;
    }
  }
}

// The pipeline has all of it in memory, so nothing is lost with what the server had. Who lost the partition meanwhile is told so
// by the bucket, or, had it not heard of that, by the claim of its successor.
void StateLog::claim_what_was_lost() {
  const auto entry = recorded_entry(client(), options_.cluster, options_.partition);
  if (!entry || entry->owner != options_.host || entry->epoch != epoch_) {
    throw Fenced{{"store", object(), fmt::format("it is empty, and epoch {} was claimed there", epoch_),
                  "look whether the server has lost what it had stored"}};
  }
  expected_ = 0;
  stored_ = 0;
  reads_.clear();
  purge_before_ = 0;
  base_is_due_ = true;
  recorded_ = false;
  store(headers(), {});
  only_claimed_ = true;
}

// Where the log of this epoch ends. False if nothing is there.
bool StateLog::catch_up_with_what_is_there() {
  const Last last = this->last();
  if (last.sequence == 0) return false;
  if (last.message && last.message->epoch > epoch_) fence(*last.message);
  if (!last.message || last.message->epoch != epoch_) {
    throw Fenced{{"store", object(),
                  fmt::format("its last message, {}, is not of epoch {}, which was claimed there",
                              last.sequence, epoch_),
                  "look whether the server has lost what it had stored; the partition goes on once it is "
                  "claimed anew"}};
  }
  expected_ = last.sequence;
  stored_ = last.message->stored;
  reads_ = last.reads;
  only_claimed_ = last.message->is_claim();
  return true;
}

void StateLog::catch_up() {
  client(MissingStream::make);
  if (!catch_up_with_what_is_there()) claim_what_was_lost();
}

void StateLog::ready() {
  if (!expected_) catch_up_with_what_is_there();
}

// Whoever stored it may have died before that was written down.
void StateLog::record(const NatsClient& client, const FetchedState& state) {
  if (state.files != 0 && !recorded_) recorded_ = record_stored(client, options_.cluster, options_.partition);
}

bool StateLog::was_stored() {
  return is_recorded_stored(client(), options_.cluster, options_.partition);
}

CopiedMessage StateLog::append(const std::filesystem::path& file, std::uint64_t whole_from,
                               const std::string& reads) {
  const std::string name = file.filename().string();
  const auto parsed = parse_state_file_name(name);
  // The first of this epoch, on top of what was fetched.
  const std::uint64_t newest = std::exchange(newest_, 0);
  const bool goes_on = parsed && !parsed->base && newest != 0 && parsed->number == newest + 1;
  const auto refuse = [&file](const char* why) { throw Error{{"store", file.string(), why, ""}}; };
  if (!parsed) refuse("it is no checkpoint");
  if (!parsed->base && base_is_due_ && !goes_on) refuse("it goes with one that is not stored");
  base_is_due_ = true;
  CopiedMessage stored;
  try {
    if (!expected_ || !client_ || client_->is_lost()) catch_up();
    // Of a chain in a stream that forgets the last checkpoint may be all that there is: none is stored behind that, and a base comes next.
    if (std::chrono::steady_clock::now() - looked_ > kBetweenLooks)
      look_at_stream(*client_, MissingStream::refuse);
    if (goes_on && !only_claimed_)
      refuse("others of its epoch are stored, and what it goes with is not known");
    if (!parsed->base && stored_ == 0) refuse("the server has lost what it goes with");
    if (purge_before_ != 0) purge();
    stored = write(file, name, whole_from, reads);
    if (!recorded_) recorded_ = record_stored(client(), options_.cluster, options_.partition);
  } catch (...) {
    expected_.reset();
    files_.clear();
    client_.reset();  // The stream may be another by now: the next try looks at it.
    throw;
  }
  base_is_due_ = false;
  if (purge_before_ == 0) return stored;
  try {
    purge();
  } catch (const Unavailable&) {
    // The next one tries it again first, and says so.
  }
  return stored;
}

void StateLog::note_file(const StateFileName& name, std::uint64_t first, std::uint64_t bytes, bool whole) {
  if (name.base || (!files_.empty() && files_.back().number + 1 != name.number)) files_.clear();
  files_.push_back({name.number, first, bytes});
  // Not before it is whole: until then what is before it is what a successor goes on with.
  if (name.base || whole) purge_before_ = files_.front().first;
}

CopiedMessage StateLog::write(const std::filesystem::path& file, const std::string& name,
                              std::uint64_t whole_from, const std::string& reads) {
  const auto fail = [&file](const std::string& why) {
    throw Error{{"read", file.string(), why, "look at the disk of --data"}};
  };
  const Descriptor descriptor{::open(file.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat status {};
  if (!descriptor || ::fstat(descriptor.get(), &status) != 0) fail(errno_text());
  const auto bytes = static_cast<std::uint64_t>(status.st_size);
  const StateFileName parsed = *parse_state_file_name(name);
  StateMessage headers = this->headers();
  headers.file = name;
  // What is not known to be stored by this object is no base: the chain is as long as it was then.
  const auto from = std::find_if(files_.begin(), files_.end(),
                                 [whole_from](const StoredFile& each) { return each.number == whole_from; });
  const bool whole = !parsed.base && from != files_.end() && files_.back().number + 1 == parsed.number;
  std::uint64_t before = parsed.base ? 0 : stored_;
  if (whole) {
    files_.erase(files_.begin(), from);
    headers.whole_from = whole_from;
    before = 0;
    for (const StoredFile& each : files_)
      before += each.bytes;
  }
  std::uint64_t first = 0;
  std::vector<char> part(std::min<std::uint64_t>(part_bytes_, bytes));
  headers.parts = std::max<std::uint64_t>((bytes + part_bytes_ - 1) / part_bytes_, 1);
  for (headers.part = 1; headers.part <= headers.parts; ++headers.part) {
    const std::uint64_t begin = (headers.part - 1) * part_bytes_;
    const std::size_t wanted = std::min<std::uint64_t>(part.size(), bytes - begin);
    for (std::size_t have = 0; have < wanted;) {
      const ssize_t got =
          ::pread(descriptor.get(), part.data() + have, wanted - have, static_cast<off_t>(begin + have));
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) fail(got < 0 ? errno_text() : "it is shorter than it was");
      have += static_cast<std::size_t>(got);
    }
    // Only the last one makes it whole.
    if (headers.is_last_part()) {
      headers.stored = before + bytes;
      reads_ = reads;
    }
    store(headers, {part.data(), wanted});
    if (headers.part == 1) first = *expected_;
  }
  note_file(parsed, first, bytes, whole);
  stored_ = headers.stored;
  headers.part = headers.parts;
  return {.sequence = *expected_, .message = std::move(headers), .bytes = bytes};
}

// Behind what is expected. Whatever becomes of answers and connections, it is stored once.
void StateLog::store(const StateMessage& headers, std::span<const char> bytes) {
  for (unsigned tries = 1;; ++tries) {
    try {
      if (try_to_store(headers, bytes) == Stored::yes || is_stored(headers)) return;
      if (tries >= kTries) client_->away(object() + ": no answer to what was stored");
    } catch (const Unavailable&) {
      if (tries >= kTries) throw;
      client_.reset();
    }
  }
}

StateLog::Stored StateLog::try_to_store(const StateMessage& headers, std::span<const char> bytes) {
  const NatsClient& client = this->client();
  natsMsg* made = nullptr;
  natsStatus status =
      natsMsg_Create(&made, subject_.c_str(), nullptr, bytes.data(), static_cast<int>(bytes.size()));
  const NatsMessagePtr message{made};
  if (status == NATS_OK) status = write_headers(made, headers);
  if (status == NATS_OK) status = write_source_reads(made, reads_);
  if (status != NATS_OK) client.fail("store", object(), status, kNoCode);
  jsPubOptions options;
  jsPubOptions_Init(&options);
  options.ExpectStream = stream_.c_str();
  options.ExpectLastSubjectSeq = *expected_;
  options.ExpectNoMessage = *expected_ == 0;
  jsPubAck* ack = nullptr;
  auto code = kNoCode;
  status = js_PublishMsg(&ack, client.jetstream(), made, &options, &code);
  if (status == NATS_OK) {
    expected_ = ack->Sequence;
    jsPubAck_Destroy(ack);
    return Stored::yes;
  }
  if (static_cast<int>(code) == JSStreamWrongLastSequenceErr) return Stored::no;
  if (status == NATS_TIMEOUT && static_cast<int>(code) == 0) return Stored::unknown;
  // As while a server that was started again reads its streams.
  if (status == NATS_NO_RESPONDERS) client.away("nobody takes messages for " + subject_);
  if (static_cast<int>(code) == JSStreamStoreFailedErr)
    client.away(
        fmt::format("{}: {}: make room in the stream, or raise its limits", object(), nats_text(status)));
  client.fail("store", object(), status, code);
}

// The last message, once the server shows what it has acknowledged: while it removes others it may show one before that.
StateLog::Last StateLog::last_known() {
  constexpr int kLooks = 10;
  constexpr std::chrono::milliseconds kBetweenLooks{20};
  Last last = this->last();
  for (int look = 1; look < kLooks && last.sequence < *expected_; ++look) {
    std::this_thread::sleep_for(kBetweenLooks);
    last = this->last();
  }
  return last;
}

// Whether the last message is this one; not, if it may be sent once more.
bool StateLog::is_stored(const StateMessage& headers) {
  const Last last = last_known();
  if (last.message == headers) {
    expected_ = last.sequence;
    return true;
  }
  if (last.sequence == *expected_) return false;
  const std::string found = last.message ? fmt::format("{} of epoch {} and host {}", last.sequence,
                                                       last.message->epoch, last.message->host)
                                         : fmt::format("{} of somebody else", last.sequence);
  if (last.sequence > *expected_ && last.message && last.message->writer == headers.writer &&
      last.message->epoch == headers.epoch) {
    // What this writer gave up for lost has arrived after all. It counts as little as before: a base stands behind anything.
    const bool stands_alone = headers.part == 1 && parse_state_file_name(headers.file)->base;
    if (!stands_alone) client_->away(fmt::format("{}: its own message {} came late", object(), found));
    expected_ = last.sequence;
    return false;
  }
  if (last.message && last.message->epoch > headers.epoch) fence(*last.message);
  if (last.message && last.message->epoch == headers.epoch && headers.is_claim()) fence(*last.message);
  throw Error{{"store", object(),
               last.sequence == 0 ? "it is empty, and was not"
                                  : fmt::format("its last message is {}, and was {}", found, *expected_),
               "the next try begins with a base"}};
}

void StateLog::purge() {
  const NatsClient& client = this->client();
  jsOptions options;
  jsOptions_Init(&options);
  options.Wait = client.timeout().count();
  if (!options_.server.domain.empty()) options.Domain = options_.server.domain.c_str();
  options.Stream.Purge.Subject = subject_.c_str();
  options.Stream.Purge.Sequence = purge_before_;
  auto code = kNoCode;
  const natsStatus status = js_PurgeStream(client.jetstream(), stream_.c_str(), &options, &code);
  if (status != NATS_OK) client.fail("remove former checkpoints from", object(), status, code);
  purge_before_ = 0;
}

}  // namespace sluice::detail
