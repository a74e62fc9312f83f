// SPDX-License-Identifier: Apache-2.0
// What a call of the source does: turns of connections until one has a frame, and a wait when none is ready.
#include "sluice/connect/tcp_server.hpp"

#include <algorithm>
#include <sys/socket.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/promises.hpp>
#include <sluice/error.hpp>
#include <sluice/units.hpp>

#include "stream_server.hpp"

namespace sluice {

using namespace detail;

namespace {

// So many turns of other connections one may wait for a look at the kernel, and a call takes without a frame.
constexpr unsigned kTurnsBetweenLooks = 64;
constexpr unsigned kTurnsOfACall = 1024;
// A line of greeting, with room for what stands in front of the ID and behind it.
constexpr std::size_t kGreetingBytes = 128;

// A socket that a former life has shut down (stop_listening) listens again.
int listening(const Listener& listener) noexcept {
  int listens = 0;
  socklen_t bytes = sizeof(listens);
  const int fd = listener.descriptor();
  const bool known = ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &bytes) == 0;
  if (known && listens == 0) std::ignore = ::listen(fd, SOMAXCONN);
  return fd;
}

Connections::Limits limits_of(const Worker& worker, const TcpServerOptions& options) {
  // No other life of this worker has had these numbers, nor any other worker of the stage.
  constexpr unsigned kLifeShift = 32;
  const std::uint64_t lives = std::uint64_t{worker.incarnation()} * worker.replicas() + worker.replica();
  return {std::max<std::uint32_t>(options.connections, 1), options.idle_limit, options.hello_limit,
          (lives << kLifeShift) + 1, options.acknowledge};
}

}  // namespace

TcpServer::Parts::Parts(Worker& worker, const Listener& listener, const TcpServerOptions& options)
    : worker_{worker}, options_{options}, connections_{listening(listener), limits_of(worker, options)} {
  worker_.declare_endless();
  if (!options_.acknowledge) return;
  if (worker_.replicas() != 1) {
    throw Error{{"serve", listener.address(),
                 "each of several workers would count the frames of a sender by itself",
                 fmt::format("give stage {} one worker, or serve without `acknowledge`", worker_.stage())}};
  }
  refuse_lanes_that_drop(worker_, "TcpServer with `acknowledge`");
  senders_ = worker_.table<SenderId, std::uint64_t>("senders", options_.senders);
  lives_ = worker_.table<SenderId, SenderLife>("lives of senders", options_.senders);
  worker_.after_commit([this] { committed(); });
}

void TcpServer::Parts::check_lanes(Output<Frame>& out) {
  if (checked_) return;
  checked_ = true;
  const std::uint64_t most = out.most_body_bytes();
  if (options_.frame_bytes <= most) return;
  throw Error{{"take frames of up to", format_bytes(options_.frame_bytes),
               fmt::format("a lane behind stage {} takes {} bytes of one", worker_.stage(), most),
               "raise lane.bytes or lower `frame_bytes`"}};
}

SourceState TcpServer::Parts::call(Output<Frame>& out) {
  check_lanes(out);
  for (unsigned turns = 0; turns < kTurnsOfACall; ++turns) {
    if (++turns_ > kTurnsBetweenLooks) {
      turns_ = 0;
      connections_.look();
      report_trouble();
    }
    Connection* connection = connections_.next();
    if (connection == nullptr) {
      if (turns_ != 0) {
        turns_ = kTurnsBetweenLooks;
        continue;
      }
      // What was noted is committed before the wait, as what earlier calls made is.
      if (std::exchange(noted_, false)) return SourceState::nothing_now;
      if (!worker_.wait_for(connections_.epoll(), connections_.quiet_for())) return SourceState::nothing_now;
      turns_ = kTurnsBetweenLooks;
    } else if (serve(*connection, out)) {
      return SourceState::more;
    }
  }
  return SourceState::nothing_now;
}

// What has been read is handed on; what lies in the kernel is not.
bool TcpServer::Parts::finish(Output<Frame>& out) {
  if (!finishing_) {
    finishing_ = true;
    connections_.stop_listening();
    connections_.for_each([](Connection& connection) { connection.readable = false; });
    connections_.for_each([this](Connection& connection) { connections_.queue(connection); });
  }
  while (Connection* connection = connections_.next()) {
    if (connection->phase == Connection::Phase::open && take_frame(*connection, out)) {
      connections_.queue(*connection);
      return true;
    }
  }
  finished_ = true;
  if (!options_.acknowledge) return false;
  connections_.for_each([this](Connection& connection) { await_commit(connection); });
  return false;
}

// One turn: at most a read and a frame; true when it had one.
bool TcpServer::Parts::serve(Connection& connection, Output<Frame>& out) {
  if (connection.phase == Connection::Phase::leaving) {
    connections_.leave(connection);
    return false;
  }
  tell(connection);
  if (take_frame(connection, out)) {
    connections_.queue(connection);
    return true;
  }
  if (connection.phase == Connection::Phase::leaving) return false;
  if (connection.readable) {
    connection.reader.append(connections_.read(connection));
    const bool had_one = take_frame(connection, out);
    if (had_one || connection.readable) connections_.queue(connection);
    if (had_one) return true;
  }
  if (connection.broken || connection.ended) hang_up(connection);
  return false;
}

bool TcpServer::Parts::take_frame(Connection& connection, Output<Frame>& out) {
  FrameReader& reader = connection.reader;
  if (connection.phase == Connection::Phase::greeting) {
    const FrameReader::Found found = reader.find(Framing::lines, kGreetingBytes);
    if (found == FrameReader::Found::none) return false;
    greet(connection, found == FrameReader::Found::frame ? reader.frame() : std::string_view{});
    if (connection.phase != Connection::Phase::open) return false;
    reader.pass();
  }
  switch (reader.find(options_.framing, options_.frame_bytes)) {
    case FrameReader::Found::none:
      return false;
    case FrameReader::Found::too_large:
      refuse_frame(connection);
      return false;
    case FrameReader::Found::frame:
      break;
  }
  push(connection, reader.frame(), out);
  if (connection.phase == Connection::Phase::leaving) return false;
  reader.pass();
  return true;
}

void TcpServer::Parts::report(const std::string& problem) {
  worker_.report(problem);
  noted_ = true;
}

void TcpServer::Parts::refuse_frame(Connection& connection) {
  const std::string_view sender = connection.head.sender_text();
  report(fmt::format("connection {} of {}{}{} is closed: it sent a frame of more than {} bytes",
                     connection.head.connection, connection.head.peer_text(), sender.empty() ? "" : " ",
                     sender, options_.frame_bytes));
  connections_.dismiss(connection,
                       fmt::format("error a frame of more than {} bytes\n", options_.frame_bytes));
}

// The sender sends no more. It still hears of its frames.
void TcpServer::Parts::hang_up(Connection& connection) {
  const bool untold =
      options_.acknowledge && (connection.owes_at || connection.dirty || connection.pushed > connection.told);
  const bool hears = !connection.broken && (untold || !connection.unsent.empty());
  if (!hears) connections_.close(connection);
}

void TcpServer::Parts::report_trouble() {
  const std::string_view trouble = connections_.take_trouble();
  if (!trouble.empty()) report(fmt::format("{} connections: {}", connections_.count(), trouble));
}

TcpServer::TcpServer(Worker& worker, const Listener& listener, const TcpServerOptions& options)
    : parts_{std::make_unique<Parts>(worker, listener, options)} {}
TcpServer::~TcpServer() = default;

SourceState TcpServer::operator()(Output<Frame>& out) {
  return parts_->call(out);
}

bool TcpServer::finish(Output<Frame>& out) {
  return parts_->finish(out);
}

StageOptions TcpServer::stage_options(const Listener& listener, const TcpServerOptions& options,
                                      StageOptions more) {
  more.descriptors.push_back(listener.descriptor());
  const std::uint64_t table = Table<SenderId, std::uint64_t>::bytes_for(options.senders) +
                              Table<SenderId, SenderLife>::bytes_for(options.senders);
  // What state.bytes is, if nothing is said; and what else a worker keeps.
  constexpr std::uint64_t kUsual = std::uint64_t{8} << 20;
  constexpr std::uint64_t kMore = std::uint64_t{64} << 10;
  if (options.acknowledge && more.state_bytes == 0 && table + kMore > kUsual)
    more.state_bytes = table + kMore;
  return more;
}

}  // namespace sluice
