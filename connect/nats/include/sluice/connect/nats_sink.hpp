// SPDX-License-Identifier: Apache-2.0
// NatsSink: messages in a JetStream stream, each exactly once and in order, whatever dies here or there, with no window of
// deduplication: an outage may last as long as it likes.
//
// Each worker owns a subject. A message carries in its header how far its worker has come (Sluice-Position). Before the worker
// commits, the messages of its batch are sent, many at a time, and answered. The first of them expects the last sequence of
// the subject (Nats-Expected-Last-Subject-Sequence), each further one its predecessor (Nats-Expected-Last-Msg-Id), so that the
// server stores it behind that or not at all. A replacement reads the last message of the subject and goes on behind it, also
// in the midst of a batch. What a predecessor still had in its socket is either stored, and then known, or refused; so is a worker
// that was stopped and continues after another took over: once its successor has sent anything, it ends with an Error.
//
//     pipeline.inlet<Payment>("in").by(&Payment::account).to<Booker>("book").to<sluice::NatsSink>(
//         "out", {.workers = 2}, sluice::NatsSinkOptions{.server = {.url = url}, .stream = "PAYMENTS"});
//
// or as a member of a handler that sends what it likes with publish().
//
// What a user sees to on the server (docs/guide/connect.md has the commands):
//   - the stream exists, takes the subject, keeps its messages by limits, acknowledges, and has one replica. Replicated
//     streams check the expectation before they agree on a message (nats-server 2.9, 2.10), so that two writers may pass
//     at once: they need `trust_replicas`, for servers that are known to do better;
//   - the last message of each subject stays: when max_age, max_bytes, a purge or a person removes it, a worker that starts
//     cannot know how far it came, and ends with an Error unless `on_removed` says otherwise. So does one at work;
//   - the stream's duplicate window is short (nats stream add --dupe-window 100ms): the server remembers for as long
//     the ids of messages that were sent many at a time. Nothing here depends on it;
//   - nobody else writes to the subject. Others may write to other subjects of the stream; but a worker sends many
//     messages at a time only while it is alone in its stream: with others between, fewer, in the worst case one for each
//     answer. A stream for each worker ("PAYMENTS_{replica}") is the fast shape;
//   - the server's disk: it acknowledges what is written, and syncs every two minutes (`sync_interval`, in later versions
//     `always`); a power loss there can take acknowledged messages. Those of a worker's own subject are missed at its next
//     start, with an Error.
//
// Used by the worker's one thread. Memory: the batch's messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <sluice/connect/nats_server.hpp>
#include <sluice/event.hpp>
#include <sluice/worker.hpp>

namespace sluice {

// What a worker that starts does when the stream has removed what it sent last.
enum class NatsRemoved {
  stop,  // Ends the pipeline with an Error: whether something was sent after the last commit cannot be known.
  go_on,  // Takes the last commit for how far it came: a batch whose commit was cut off by a death may be sent twice.
};

struct NatsSinkOptions {
  NatsServer server;
  // In both, {pipeline}, {stage} and {replica} stand for those of the worker.
  std::string stream{};
  std::string subject = "{pipeline}.{stage}.{replica}";
  // The most messages that are sent before the first of them is answered.
  std::size_t in_flight = 1024;
  // A subject that workers share with each other or with others: nothing is expected then, and each message has an id
  // (Nats-Msg-Id) instead, made of EventId and its number in the event. Exact only within the stream's duplicate window: what
  // is sent again after a longer outage is stored again. Ordered for each worker as long as nothing fails.
  bool shared_subject = false;
  bool trust_replicas = false;
  NatsRemoved on_removed = NatsRemoved::stop;
};

class NatsSink {
 public:
  // Connects, checks server and stream, and reads how far this worker came. Throws Unavailable when the server is away, Error
  // for what only a person can mend: a wrong password, a missing stream, JetStream that is off, a stream that cannot be exact.
  NatsSink(Worker& worker, NatsSinkOptions options);
  ~NatsSink();
  NatsSink(const NatsSink&) = delete;
  NatsSink& operator=(const NatsSink&) = delete;

  // The event's bytes are the message.
  void operator()(const Bytes& event) { publish(event.text()); }

  // The event in the handler makes this message; any number of them, always the same ones in the same order. It is
  // kept until the batch is sent, before its commit, which blocks and throws as the constructor does. What is larger than
  // the server or the stream allows is Refused: its event becomes a dead letter, and none of its messages is sent. Throws Error
  // where no event is in the handler: in its constructor, in an action of when_idle().
  void publish(std::string_view message);

  const std::string& stream() const noexcept;
  const std::string& subject() const noexcept;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice
