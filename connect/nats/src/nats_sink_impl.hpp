// SPDX-License-Identifier: Apache-2.0
// What NatsSink is made of: nats_sink.cpp finds out where its worker stopped, nats_sink_send.cpp sends.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "burst.hpp"
#include "client.hpp"
#include "position_header.hpp"
#include "sluice/connect/nats_sink.hpp"

namespace sluice {
namespace detail {

// The sequence of the last message of the subject that a commit covers. 0: none yet.
struct NatsSinkProgress {
  std::uint64_t sequence = 0;
};

// A message that waits for the end of its batch.
struct PendingMessage {
  EventId event;
  std::uint32_t index;  // Among the messages of the event.
  std::size_t offset;   // Of its bytes, in text_.
  std::size_t size;
};

struct LastMessage {
  std::uint64_t sequence = 0;
  std::optional<PositionHeader> position;  // Nothing for a message that is none of ours.
};

}  // namespace detail

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
  std::optional<detail::LastMessage> last_message() const;
  void check_subject() const;
  void probe() const;
  void take_over();
  void refuse_a_later_life(const detail::LastMessage& last) const;
  void flush(std::span<const Covered> covered);
  void forget_committed(std::span<const Covered> covered);
  void refuse_what_is_too_large() const;
  std::size_t skip_sent(std::size_t from) const;
  std::size_t burst_at(std::size_t from) const;
  detail::NatsMessagePtr message_of(const detail::PendingMessage& pending);
  std::string position_with(const detail::PendingMessage& pending);
  std::size_t send(std::size_t from, std::size_t count);
  void note_sent(const detail::PendingMessage& pending);
  void act_on(const detail::PendingMessage& pending, const detail::Answer& answer);
  void find_out(const std::string& text);

  Worker& worker_;
  const NatsSinkOptions options_;
  Recoverable<detail::NatsSinkProgress> progress_;
  const std::uint64_t origin_;
  detail::NatsClient client_;
  detail::Burst burst_;
  std::size_t largest_ = 0;                           // Payload and headers, in bytes.
  std::uint64_t last_sequence_ = 0;                   // Of the subject, as far as we know.
  std::size_t window_ = 1;                            // How many messages at a time get through.
  unsigned vain_ = 0;                                 // Refusals in a row with nothing new on the subject.
  std::map<std::uint32_t, detail::Sent> sent_;        // By lane.
  std::map<std::uint32_t, std::uint64_t> committed_;  // By lane: the position up to which events are.
  std::vector<detail::PendingMessage> pending_;
  std::string text_;
  detail::PositionHeader header_{origin_, worker_.life(), 1, {}};  // Of the message that is made.
  EventId event_;                                                  // The last one that published.
  std::uint32_t index_ = 0;                                        // Of its next message.
};

}  // namespace sluice
