// SPDX-License-Identifier: Apache-2.0
// Pulls the messages of a JetStream consumer, by requests of our own over a plain subscription.
//
// Not by natsSubscription_Fetch of libnats: up to 3.8 it miscounts where messages of a pull arrive after its time was over, as
// they do on a machine or behind a server that is slow. It then waits for as long as it may, though it has all that it
// asked for, and writes beyond the end of its list when more come (nats.c, pull request 749).
//
// By one thread at a time. The client must outlive it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "client.hpp"

namespace sluice::detail {

class NatsPull {
 public:
  using Batch = std::vector<NatsMessagePtr>;
  struct Limits {
    int messages = 1;
    std::int64_t bytes = 0;  // At least as much as the largest message with its headers.
    std::chrono::milliseconds within{};
  };

  // Throws as NatsClient does.
  NatsPull(const NatsClient& client, const std::string& stream, const std::string& consumer);
  ~NatsPull() { client_.end(std::move(subscription_)); }
  NatsPull(const NatsPull&) = delete;
  NatsPull& operator=(const NatsPull&) = delete;

  // Adds to the batch what is there, or if nothing is, what comes first: NATS_OK. Nothing came: NATS_TIMEOUT or NATS_NOT_FOUND, and
  // after that what came too late for this pull is given by the next one, in the order of the consumer. NATS_NO_RESPONDERS: nobody
  // takes such requests. What the server says else is NATS_ERR, and its words are why().
  natsStatus pull(const Limits& limits, Batch& batch);
  const std::string& why() const noexcept { return why_; }
  // From any thread, while this lives: a pull that waits ends, or the next one, with what it has or with NATS_TIMEOUT. The one after
  // that goes on with its request, and ends with that one's time.
  void wake() const noexcept;

 private:
  struct Request {
    std::string reply{};
    std::size_t left = 0;
    std::chrono::nanoseconds until{};
  };

  natsStatus take_late_ones(int most, Batch& batch);
  natsStatus ask(const Limits& limits);
  natsStatus take_next(Batch& batch);
  natsStatus take(NatsMessagePtr message, Batch& batch);
  // What the server says of a request instead of giving more.
  natsStatus meaning_of(natsMsg* message);

  const NatsClient& client_;
  std::string request_subject_;
  std::string inbox_;
  std::string wake_subject_;
  NatsSubscriptionPtr subscription_;
  std::uint64_t requests_ = 0;
  // The newest, until the server has answered all of it or its time is over.
  std::optional<Request> open_;
  // One before it, whose time was over before an answer came: what the server has may answer that one, and then nothing this.
  std::string late_;
  std::string why_;
  bool nobody_answers_ = false;  // Said behind messages: the next pull says so.
};

}  // namespace sluice::detail
