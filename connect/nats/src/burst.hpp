// SPDX-License-Identifier: Apache-2.0
// Burst: several messages to one subject, sent one behind the other and answered later.
//
// Each message of a chain expects to come right behind the one before it, in its subject and in its stream. Why both: the
// sequence of a message that is still under way can only be guessed, as that of its predecessor and one. Were only the
// subject's last sequence expected, a stranger's message in between would shift all guesses by one:
//
//     sent, last of the subject is 10:  A expects 10      B expects 11      C expects 12
//     a stranger takes 11;              A is stored: 12   B is refused      C is stored: 13, and B is lost
//
// With the stream's last sequence expected too, a message of a chain is stored at the sequence that was guessed or not at
// all, so what stands at the sequence that the next one expects is its predecessor. After a message that is refused no
// later one of the chain is stored. A chain of one expects the subject's last alone, which is known: it gets through
// whatever strangers do.
//
// The library calls back in a thread of its own; the calls here are the worker's.
#pragma once

#include <condition_variable>
#include <cstdint>
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

  // Sends the messages, as a chain behind the last sequence of their subject (0: there is none) or with nothing expected, and
  // waits for all answers, which are valid until the next call. Throws Unavailable when the connection is lost or
  // nothing is answered within the client's timeout: some may have been stored then.
  std::span<const Answer> send(std::vector<NatsMessagePtr> messages,
                               std::optional<std::uint64_t> last_sequence);

 private:
  static void on_answer(jsCtx* context, natsMsg* message, jsPubAck* ack, jsPubAckErr* error, void* closure);
  static Answer read(const jsPubAck* ack, const jsPubAckErr* error, const std::string& stream);
  void note(const natsMsg* message, Answer answer);
  // Whether all were handed to the library.
  bool hand_over(std::vector<NatsMessagePtr>& messages, std::optional<std::uint64_t> last_sequence);
  void await_answers(std::size_t count);

  const NatsClient& client_;
  const std::string stream_;
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
