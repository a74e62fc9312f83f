// SPDX-License-Identifier: Apache-2.0
// TcpServer::Parts: what becomes of the bytes of connections: frames, greetings, acknowledgements.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "connections.hpp"
#include "sluice/connect/tcp_server.hpp"

namespace sluice::detail {

// A sender's ID as a key: filled up with zeros.
struct SenderId {
  char text[sizeof(FrameHead::sender)] = {};

  friend bool operator==(const SenderId&, const SenderId&) = default;
};

// Which start of which run of a pipeline a sender is of (Worker::run(), life()); zeros: it has not said.
struct SenderLife {
  std::uint64_t run = 0;
  std::uint64_t life = 0;
};

// A line "hello ID" or "hello ID RUN.LIFE", with or without a carriage return; without an ID when it is none.
struct Greeting {
  std::string_view id;
  SenderLife life;
};
Greeting greeting_in(std::string_view line) noexcept;

}  // namespace sluice::detail

namespace sluice {

struct TcpServer::Parts {
  Parts(Worker& worker, const Listener& listener, const TcpServerOptions& options);

  SourceState call(Output<Frame>& out);
  bool finish(Output<Frame>& out);

 private:
  using Connection = detail::Connection;
  struct Safe {
    detail::ConnectionId id;
    std::uint64_t frames;
    bool last;
  };

  void check_lanes(Output<Frame>& out);
  bool serve(Connection& connection, Output<Frame>& out);
  bool take_frame(Connection& connection, Output<Frame>& out);
  void refuse_frame(Connection& connection);
  void greet(Connection& connection, std::string_view line);
  bool is_followed(const detail::Greeting& greeting);
  void push(Connection& connection, std::string_view frame, Output<Frame>& out);
  void hang_up(Connection& connection);
  void await_commit(Connection& connection);
  void committed();
  void tell_safe(std::size_t count);
  void tell(Connection& connection);
  void report(const std::string& problem);
  void report_trouble();

  Worker& worker_;
  TcpServerOptions options_;
  detail::Connections connections_;
  // With `acknowledge`: frames of each sender, and the connection that speaks for it.
  std::optional<Table<detail::SenderId, std::uint64_t>> senders_;
  std::optional<Table<detail::SenderId, detail::SenderLife>> lives_;
  std::map<std::string, detail::ConnectionId, std::less<>> speakers_;
  std::vector<detail::ConnectionId> awaiting_;  // Those that have something to hear after the next commit.
  std::deque<Safe> safe_;     // What to tell them once that is safe, in the order of commits.
  bool uncommitted_ = false;  // Frames were pushed since the last one.
  bool noted_ = false;        // Something, by this call, in which nothing was pushed.
  bool checked_ = false;
  bool finishing_ = false;
  bool finished_ = false;
  unsigned turns_ = 0;  // Since the last look at the kernel.
};

}  // namespace sluice
