// SPDX-License-Identifier: Apache-2.0
// Burst: several messages to one subject, sent one behind the other and answered later.
//
// The first message of a chain expects the last sequence of its subject, which is known. The sequence of one that is still
// under way is not: each next message expects the id of the one before (Nats-Expected-Last-Msg-Id), which must be the last
// of the whole stream. Ids are never used twice, so that what a message comes behind is its predecessor or nothing: after one
// that is refused no later one of the chain is stored. Why not by sequences that are guessed, each one more than the one before:
//
//     a dead worker's chain lies in the socket:   A expects 10   B expects 11   C expects 12
//     its successor's first message, A', takes 11: A is refused  B is stored: 12
//
// and when the successor gets its events in another order, as from several lanes, A' need not be A: what B says of A is wrong,
// and A is lost. With ids, B expects A.
//
// The server remembers an id for the stream's duplicate window. The last message of a chain needs none.
//
// The library calls back in a thread of its own; the calls here are the worker's.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "client.hpp"

namespace sluice::detail {

// What the server said to a message.
struct Answer {
  enum class Kind { none, stored, unexpected, too_large, full, failed };
  Kind kind = Kind::none;
  std::uint64_t sequence = 0;  // Of one that was stored.
  std::string text;            // Of one that was not.
};

class Burst {
 public:
  Burst(const NatsClient& client, std::string stream);
  ~Burst();
  Burst(const Burst&) = delete;
  Burst& operator=(const Burst&) = delete;

  // Sends `count` messages, as a chain behind the last sequence of their subject (0: there is none) or with nothing expected,
  // and waits for all answers, which are valid until the next call. `make(index)` is called in order, while the server has
  // the first of them already. Throws Unavailable when the connection is lost or nothing is answered within the client's
  // timeout: some may have been stored then.
  using Make = std::function<NatsMessagePtr(std::size_t index)>;
  std::span<const Answer> send(std::size_t count, const Make& make,
                               std::optional<std::uint64_t> last_sequence);

 private:
  static void on_answer(jsCtx* context, natsMsg* message, jsPubAck* ack, jsPubAckErr* error, void* closure);
  static Answer read(const jsPubAck* ack, const jsPubAckErr* error, const std::string& stream);
  void note(const natsMsg* message, Answer answer);
  // The headers that make message `index` of so many a part of the chain.
  void chain(natsMsg* message, std::size_t index, std::size_t count, std::uint64_t last_sequence);
  // Whether the library took it; it is too large otherwise.
  bool hand_over(NatsMessagePtr message, std::size_t index);
  void await_answers(std::size_t count);

  const NatsClient& client_;
  const std::string stream_;
  const std::string ids_;  // What the ids of this object begin with: no other has it.
  std::uint64_t next_id_ = 0;
  // Under mutex_: also written by the library's thread.
  std::mutex mutex_;
  std::condition_variable answered_;
  std::vector<const natsMsg*> sent_;
  std::vector<Answer> answers_;
  std::size_t count_ = 0;   // Of answers.
  std::size_t cursor_ = 0;  // Where the next answer is looked for.
  // Last: its end ends the calls back.
  JsContextPtr context_;
};

}  // namespace sluice::detail
