// SPDX-License-Identifier: Apache-2.0
// The client's side of the protocol of docs/guide/tcp.md, over an outbox.
//
// Why it is exact: a frame has its number by the commit that has put it into the outbox, and keeps it. It is sent after
// that commit, never before; the server's count says which numbers it has. So both sides mean the same frame by a number,
// whoever dies, and whether an acknowledgement arrived or not. Where a start may go back to a checkpoint a frame is sent once
// one holds it: what is made anew behind it has numbers that the server has not heard of.
#include "sluice/connect/tcp_client.hpp"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include <sluice/connect/detail/time_limit.hpp>
#include <sluice/detail/promises.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/refused.hpp>
#include <sluice/unavailable.hpp>

#include "client_connection.hpp"
#include "outbox.hpp"
#include "stream_server.hpp"

namespace sluice {

using namespace detail;

namespace {

// "at 7": 7 behind the word "at"; nothing for another line.
std::optional<std::uint64_t> count_in(std::string_view line, std::string_view word) noexcept {
  if (!line.starts_with(word)) return std::nullopt;
  line.remove_prefix(word.size());
  std::uint64_t count = 0;
  const auto [end, error] = std::from_chars(line.data(), line.data() + line.size(), count);
  return error == std::errc{} && end == line.data() + line.size() ? std::optional{count} : std::nullopt;
}

// One for this worker of this run, which no other pipeline has: the stage for people, then the ids of its events without
// lane and position.
std::string usual_id(const Worker& worker) {
  constexpr std::size_t kMostOfStage = 16;
  std::string id = worker.stage().substr(0, kMostOfStage);
  std::string event = to_string(EventId{worker.event_id().origin, 0});
  for (int part = 0; part < 2; ++part)
    event.resize(event.rfind('.'));
  return id.append(":").append(event);
}

}  // namespace

struct TcpClient::Parts {
  Parts(Worker& worker_of_it, std::string address_of_server, TcpClientOptions options_of_it);

  void add(std::string_view frame);
  // `end` is committed: what comes before it is delivered once it is safe, and what is safe by now at once.
  void deliver_when_safe(const Outbox::Place& end);

 private:
  // Sends the outbox up to `end` and waits until the server has it all. `end` is safe.
  void deliver(const Outbox::Place& end);
  void check_frame(std::string_view frame) const;
  void make_room(std::string_view frame);
  void connect();
  void exchange(const Outbox::Place& end);
  void exchange_frames(const Outbox::Place& end);
  void hear(const std::string& line);
  void acknowledged(std::uint64_t count, const Outbox::Place& most, std::string_view word);
  void fill(const Outbox::Place& end);
  std::string text_of_server() const { return printable(address_); }

  Worker& worker_;
  std::string address_;
  TcpClientOptions options_;
  Outbox outbox_;
  std::optional<ClientConnection> connection_;
  bool says_its_life_;  // Not within run_inline, nor to a server that does not know what that is.
  bool greeted_ = false;
  Outbox::Place known_;      // The server has what comes before.
  Outbox::Place next_;       // What comes before was sent, or is in `unsent_`.
  Outbox::Place committed_;  // The last end that was delivered or is to be.
  Outbox::Place asked_;      // What comes before is delivered once it is safe,
  Outbox::Place safe_;       // and so far it is.
  std::string unsent_;
  EventId event_;  // The last one that has added a frame, and where the outbox ended before it.
  std::optional<Outbox::Place> before_event_;
};

TcpClient::Parts::Parts(Worker& worker_of_it, std::string address_of_server, TcpClientOptions options_of_it)
    : worker_{worker_of_it},
      address_{std::move(address_of_server)},
      options_{std::move(options_of_it)},
      outbox_{worker_},
      says_its_life_{worker_.run() != 0},
      known_{outbox_.head()},
      next_{known_},
      asked_{known_},
      safe_{known_} {
  check_time_limit("TcpClientOptions::call_limit", options_.call_limit);
  if (outside_may_be_ahead(worker_)) {
    throw Error{
        {"send to", text_of_server(),
         "a start that goes back to a checkpoint would make frames anew that the server has, and number "
         "them anew: the stage does not wait for checkpoints (outside.after=commit)",
         fmt::format("set stage.{}.outside.after=checkpoint, or leave checkpoint.path away",
                     worker_.stage())}};
  }
  if (options_.id.empty()) options_.id = usual_id(worker_);
  if (greeting_in("hello " + options_.id).id != options_.id) {
    throw Error{{"say hello to", text_of_server(), fmt::format("{} is no id", json_text(options_.id)),
                 "use 1 to 39 letters, digits, '.', '_', ':' or '-'"}};
  }
  worker_.after_commit([this](bool whole) {
    const bool in_event = !whole && before_event_ && event_ == worker_.event_id();
    deliver_when_safe(in_event ? *before_event_ : outbox_.tail());
  });
  // What a predecessor has committed and, perhaps, not sent. In any case the server says what it has: a frame of its own
  // would be taken for one of another client that it knows by this id.
  committed_ = outbox_.tail();
  connect();
  exchange(known_);
  deliver_when_safe(committed_);
}

void TcpClient::Parts::add(std::string_view frame) {
  std::string with_id;
  if (options_.event_ids) {
    with_id = to_string(worker_.event_id()).append(" ").append(frame);
    frame = with_id;
  }
  check_frame(frame);
  if (!before_event_ || event_ != worker_.event_id()) {
    event_ = worker_.event_id();
    before_event_ = outbox_.tail();
  }
  if (known_.frames > outbox_.head().frames) outbox_.forget_until(known_);
  if (!outbox_.has_room_for(frame)) make_room(frame);
  outbox_.add(frame);
}

void TcpClient::Parts::check_frame(std::string_view frame) const {
  if (frame.size() > Outbox::kBytes - Outbox::kLengthBytes)
    throw Refused{fmt::format("a frame of {} bytes is larger than the outbox", frame.size())};
  if (options_.framing == Framing::lines && frame.find('\n') != std::string_view::npos)
    throw Refused{"a frame that holds a line feed is no line; frames can be length-prefixed"};
}

// What earlier events have added is committed and delivered in the midst of this one.
void TcpClient::Parts::make_room(std::string_view frame) {
  worker_.wait_for(std::chrono::nanoseconds{0});
  // As long as there is something that a checkpoint lets go.
  while (true) {
    deliver(safe_);
    if (known_.frames > outbox_.head().frames) outbox_.forget_until(known_);
    if (outbox_.has_room_for(frame)) return;
    if (known_.frames >= asked_.frames) break;
    worker_.wait_for(std::chrono::milliseconds{100});
  }
  throw Error{{"send the frames of one event to", text_of_server(), "they are more than the outbox holds",
               "send less in one event; in a stage with flushes, lower batch.events"}};
}

// Of many that become safe at once, the last that was asked for, or the next commit, delivers them all.
void TcpClient::Parts::deliver_when_safe(const Outbox::Place& end) {
  if (end.frames > asked_.frames) {
    asked_ = end;
    worker_.when_safe([this, end] {
      safe_ = end;
      if (end.frames == asked_.frames) deliver(end);
    });
  }
  deliver(safe_);
}

void TcpClient::Parts::deliver(const Outbox::Place& end) {
  if (known_.frames >= end.frames) return;
  committed_ = end.frames > committed_.frames ? end : committed_;
  // What happened to the connection while there was nothing to send is heard now, and no reason to wait.
  if (connection_) {
    try {
      return exchange(end);
    } catch (const Unavailable&) {
      connection_.reset();
    }
  }
  connect();
  exchange(end);
}

// A server that takes some frames on each connection is not away all the time.
void TcpClient::Parts::exchange(const Outbox::Place& end) {
  try {
    exchange_frames(end);
  } catch (const Unavailable& away) {
    throw Unavailable{away.what(), known_.frames};
  }
}

void TcpClient::Parts::exchange_frames(const Outbox::Place& end) {
  std::optional<OutsideCall> call;
  ClientConnection::Clock::time_point until;
  const auto begin_to_wait = [&] {
    until = ClientConnection::Clock::now() + options_.call_limit;
    // It ends by itself before the watchdog would end it.
    call.emplace(worker_.outside(options_.call_limit + std::chrono::seconds{1}));
  };
  begin_to_wait();
  while (true) {
    const std::uint64_t before = known_.frames;
    while (const auto line = connection_->line()) {
      hear(*line);
      // Of words that bring nothing further there may be no end.
      if (known_.frames == before) connection_->check_time(until);
    }
    if (greeted_ && known_.frames >= end.frames) return;
    if (known_.frames != before) begin_to_wait();
    if (greeted_) fill(end);
    std::string_view bytes{unsent_};
    connection_->send_some(bytes);
    unsent_.erase(0, unsent_.size() - bytes.size());
    connection_->wait(!unsent_.empty() || (greeted_ && next_.frames < end.frames), until);
  }
}

void TcpClient::Parts::connect() {
  const auto call = worker_.outside(options_.call_limit + std::chrono::seconds{1});
  connection_.emplace(address_, options_.call_limit);
  greeted_ = false;
  unsent_ = "hello " + options_.id;
  if (says_its_life_) unsent_ += fmt::format(" {}.{}", worker_.run(), worker_.life());
  unsent_.push_back('\n');
}

// Whole frames from `next_` on, as many as are worth a call.
void TcpClient::Parts::fill(const Outbox::Place& end) {
  constexpr std::size_t kEnough = 64UL * 1024;
  while (next_.frames < end.frames && unsent_.size() < kEnough) {
    if (options_.framing == Framing::lines) {
      next_ = outbox_.pass(next_, &unsent_);
      unsent_.push_back('\n');
      continue;
    }
    const std::size_t at = unsent_.size();
    unsent_.append(4, '\0');
    next_ = outbox_.pass(next_, &unsent_);
    const std::size_t length = unsent_.size() - at - 4;
    for (unsigned i = 0; i < 4; ++i)
      unsent_[at + i] = static_cast<char>(length >> (24 - 8 * i) & 0xff);
  }
}

void TcpClient::Parts::hear(const std::string& line) {
  if (const auto at = count_in(line, "at "); at && !greeted_) {
    greeted_ = true;
    acknowledged(*at, committed_, "has");
    next_ = known_;
  } else if (const auto ack = count_in(line, "ack "); ack && greeted_) {
    acknowledged(*ack, next_, "acknowledges");
  } else if (line.starts_with("error a frame of more than ")) {
    throw Error{{"send to", text_of_server(), "it says: " + printable(line),
                 "raise the limit of the server, and start again: the frame is kept"}};
  } else if (line.starts_with("error a later start of this sender ")) {
    throw Error{{"send to", text_of_server(), "it says: " + printable(line),
                 "end this pipeline: the other one goes on with what it was to do"}};
  } else if (says_its_life_ && !greeted_ && line.starts_with("error say who you are first")) {
    says_its_life_ = false;
    connect();
  } else {
    throw Unavailable{fmt::format("the server at {} says: {}", text_of_server(), printable(line))};
  }
}

void TcpClient::Parts::acknowledged(std::uint64_t count, const Outbox::Place& most, std::string_view word) {
  if (count < known_.frames || count > most.frames) {
    const bool fewer = count < known_.frames;
    throw Error{
        {"go on at", text_of_server(),
         fmt::format("it {} {} frames of {}, of which {} were {}", word, count, options_.id,
                     fewer ? known_.frames : most.frames, fewer ? "acknowledged" : "sent by this pipeline"),
         fewer ? "it has lost what it had; begin this pipeline anew, or give it another id"
               : "the id is another client's, or of an earlier run: give this one another id"}};
  }
  while (known_.frames < count)
    known_ = outbox_.pass(known_);
}

TcpClient::TcpClient(Worker& worker, const std::string& address, TcpClientOptions options)
    : parts_{std::make_unique<Parts>(worker, address, std::move(options))} {}
TcpClient::~TcpClient() = default;

void TcpClient::send(std::string_view frame) {
  parts_->add(frame);
}

}  // namespace sluice
