// SPDX-License-Identifier: Apache-2.0
// NatsSource: the messages of a JetStream stream, each handled exactly once and in order, whatever dies here or there.
//
// How far a worker has come is a sequence of the stream in its recoverable state: it moves with the commit that handles
// a message, and nothing that the server remembers counts. A worker that starts, or whose connection was lost, makes a
// consumer of its own that begins behind that sequence, and reads it by pulls, each of which is renewed after two seconds. What
// the server says is checked: a sequence that runs backwards, a stream that ends before what was handled, or was made
// anew, a message that was left out or removed before it was read: each stops the pipeline with an Error that says so. What
// only the connection lost is read again.
//
//     pipeline.source<sluice::NatsSource>("orders", sluice::NatsSourceOptions{.server = {.url = url}, .stream = "ORDERS"})
//
// A source that wants more than the bytes owns a NatsReader and pushes what it likes.
//
// Streams with the retention `limits` need nothing set; nothing is acknowledged there, and other readers are not
// disturbed. From a work queue (`workqueue`) a message is removed once it is acknowledged, which follows the commit; one
// that comes again, since an acknowledgement was lost, is known and left out. So nothing of it can be passed over:
// `first_sequence` and `only_new` are refused there. `interest` is refused: there messages vanish while no consumer is there.
//
// Gaps: of a stream without `subject`, each sequence that is missing is looked for. One that a person or max_msgs_per_subject
// removed is passed over. What max_age, max_bytes or max_msgs removed before it was read is lost, and an Error unless
// `on_removed` says otherwise; also where nothing comes behind it, at the end and within about a second of rest. With
// `subject` a gap may be other subjects' messages: then the stream's first sequence must not have passed what is to be read
// next, which is looked at once for each pull that has gaps, and each second at rest, when the position follows the stream. It
// may be other subjects' messages that were removed; nobody knows any more, and it is an Error, too. A stream with
// max_msgs_per_subject moves its first sequence all the time: set `on_removed` there. Of a work queue without `subject` what
// was removed unread is reported (Worker::report), unless `on_removed` says otherwise, and nothing ends: what is gone may have
// been acknowledged.
//
// One worker reads all of it; with several, `stream` or `subject` has {replica} in it, so that each reads its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <sluice/connect/nats_server.hpp>
#include <sluice/connect/nats_sink.hpp>
#include <sluice/event.hpp>
#include <sluice/handler.hpp>
#include <sluice/output.hpp>
#include <sluice/worker.hpp>

namespace sluice {

struct NatsSourceOptions {
  NatsServer server;
  // In both, {pipeline}, {stage} and {replica} stand for those of the worker.
  std::string stream{};
  std::string subject{};  // Only messages of these subjects, with * and > as in NATS; empty: all.
  // Where the first run of the pipeline begins: at this sequence, or behind all that is there. Not of a work queue.
  std::uint64_t first_sequence = 1;
  bool only_new = false;
  // False: ends when it has handled all that is there. True: waits for more.
  bool follow = true;
  std::size_t batch = 512;  // The most messages of one pull; two pulls are held in memory.
  NatsRemoved on_removed = NatsRemoved::stop;
};

struct NatsMessage {  // A message, valid during the call that gets it.
  std::string_view subject;
  std::string_view data;
  std::uint64_t sequence = 0;  // In the stream.
  std::int64_t time_ns = 0;    // When the server stored it, since 1970.
};

// For a source of one's own, in its worker's one thread.
class NatsReader {
 public:
  // In the source's constructor. Connects, checks server and stream. Throws Unavailable when the server is away, Error for
  // what only a person can mend.
  NatsReader(Worker& worker, NatsSourceOptions options);
  ~NatsReader();
  NatsReader(const NatsReader&) = delete;
  NatsReader& operator=(const NatsReader&) = delete;

  // The next message, valid until the next call; it counts as handled when the call of the source that asked for it is
  // committed. Nothing when none came within a second, when the pipeline drains, and at the end: see ended(). Waits as
  // Worker::wait_for does. Throws as the constructor does.
  const NatsMessage* next();
  // Whether next() gives nothing since all that was there is handled; never while `follow`.
  bool ended() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// A message's bytes are an event.
class NatsSource {
 public:
  NatsSource(Worker& worker, NatsSourceOptions options);
  SourceState operator()(Output<Bytes>& out);

 private:
  NatsReader reader_;
};

}  // namespace sluice
