// SPDX-License-Identifier: Apache-2.0
#include "connections.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <sluice/error.hpp>

#include "descriptor_limit.hpp"
#include "socket_address.hpp"

namespace sluice::detail {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kListener = ~std::uint64_t{0};
constexpr std::size_t kReadBytes = std::size_t{64} * 1024;
// Of one look, so that those who are there have their turns.
constexpr int kMostEvents = 256;
constexpr int kMostAccepted = 64;
constexpr std::chrono::nanoseconds kLeaveLimit = 2s;
constexpr std::chrono::nanoseconds kSweepEvery = 100ms;
constexpr std::string_view kTooMany = "error too many connections; try again later\n";

std::uint64_t word_of(ConnectionId id) noexcept {
  return std::uint64_t{id.generation} << 32 | id.slot;
}

ConnectionId id_of(std::uint64_t word) noexcept {
  return {static_cast<std::uint32_t>(word), static_cast<std::uint32_t>(word >> 32)};
}

// The kernel has something of it, or its end.
bool has_something(const Connection& connection) noexcept {
  char byte = 0;
  return !connection.ended && ::recv(connection.fd.get(), &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT) >= 0;
}

Descriptor null_device() noexcept {
  return Descriptor{::open("/dev/null", O_RDONLY | O_CLOEXEC)};
}

}  // namespace

Connections::Connections(int listener, const Limits& limits)
    : listener_{listener},
      limits_{limits},
      epoll_{::epoll_create1(EPOLL_CLOEXEC)},
      spare_{null_device()},
      scratch_(kReadBytes),
      next_number_{limits.first_number},
      next_sweep_{Clock::now() + kSweepEvery} {
  if (!epoll_) throw Error{{"serve connections", "", errno_text(), "raise the limit of open files"}};
  limits_.connections = affordable_connections(limits.connections);
  watch_listener();
}

void Connections::watch_listener() noexcept {
  epoll_event event{};
  // One of several workers is woken for a connection.
  event.events = EPOLLIN | EPOLLEXCLUSIVE;
  event.data.u64 = kListener;
  std::ignore = ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener_, &event);
}

std::chrono::nanoseconds Connections::quiet_for() const noexcept {
  const bool sweeps =
      paused_ || !leaving_.empty() || (count_ != 0 && (limits_.idle.count() != 0 || limits_.greets));
  return sweeps ? kSweepEvery : std::chrono::nanoseconds{1h};
}

void Connections::look() {
  std::array<epoll_event, kMostEvents> events;
  const int count = ::epoll_wait(epoll_.get(), events.data(), kMostEvents, 0);
  bool incoming = false;
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events[static_cast<std::size_t>(i)];
    if (event.data.u64 == kListener) {
      incoming = true;
      continue;
    }
    Connection* connection = find(id_of(event.data.u64));
    if (connection == nullptr) continue;
    if ((event.events & EPOLLOUT) != 0) connection->writable = true;
    if ((event.events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) connection->readable = true;
    // One that was told all, and sends nothing, has no turn to have.
    if (connection->readable || !connection->unsent.empty() || connection->safe > connection->told)
      queue(*connection);
  }
  // Last: a new connection may have the slot of one that was closed.
  if (incoming) accept_some();
  const Clock::time_point now = Clock::now();
  if (now >= next_sweep_) sweep(now);
}

void Connections::accept_some() {
  for (int i = 0; i < kMostAccepted && listening_ && !paused_; ++i) {
    SocketAddress peer;
    peer.length = sizeof(peer.bytes);
    Descriptor fd{::accept4(listener_, peer.get(), &peer.length, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (fd) {
      if (count_ >= limits_.connections) {
        if (!full_) trouble_ = "all connections that it may have are in use; more are turned away";
        full_ = true;
        std::ignore = ::send(fd.get(), kTooMany.data(), kTooMany.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      } else {
        full_ = false;
        admit(std::move(fd), peer);
      }
      continue;
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) return;
    if (errno == EMFILE || errno == ENFILE) {
      turn_away();
    } else if (errno == ENOBUFS || errno == ENOMEM || errno == EINVAL || errno == EBADF) {
      pause_listening(kSweepEvery);
    }
    // All else is of a connection that broke before it was taken: accept(2).
  }
}

// There is no descriptor for it: the spare one is given up for a moment.
void Connections::turn_away() {
  if (!full_) trouble_ = "there are no descriptors left for connections; more are turned away";
  full_ = true;
  spare_.reset();
  {
    const Descriptor fd{::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK)};
    if (fd) std::ignore = ::send(fd.get(), kTooMany.data(), kTooMany.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  }
  spare_ = null_device();
  // Another thread or process was quicker.
  if (!spare_) pause_listening(kSweepEvery);
}

void Connections::admit(Descriptor fd, const SocketAddress& peer) {
  if (free_.empty()) {
    free_.push_back(static_cast<std::uint32_t>(slots_.size()));
    slots_.emplace_back();
    generations_.push_back(0);
  }
  const std::uint32_t slot = free_.back();
  auto connection = std::make_unique<Connection>();
  connection->id = {slot, ++generations_[slot]};
  epoll_event event{};
  event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
  event.data.u64 = word_of(connection->id);
  // Without memory for it in the kernel it is closed.
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd.get(), &event) != 0) return;
  const std::string text = peer_text(fd.get(), peer);
  text.copy(connection->head.peer, sizeof(connection->head.peer) - 1);
  connection->head.connection = next_number_++;
  connection->fd = std::move(fd);
  connection->phase = limits_.greets ? Connection::Phase::greeting : Connection::Phase::open;
  connection->heard = Clock::now();
  free_.pop_back();
  slots_[slot] = std::move(connection);
  ++count_;
  queue(*slots_[slot]);
}

void Connections::pause_listening(std::chrono::nanoseconds pause) {
  if (paused_) return;
  paused_ = true;
  std::ignore = ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_, nullptr);
  listens_again_ = Clock::now() + pause;
}

void Connections::sweep(Clock::time_point now) {
  next_sweep_ = now + kSweepEvery;
  if (paused_ && now >= listens_again_) {
    paused_ = false;
    if (listening_) watch_listener();
  }
  while (!leaving_.empty() && now >= leaving_.front().until) {
    if (Connection* connection = find(leaving_.front().id)) close(*connection);
    leaving_.pop_front();
  }
  if (limits_.idle.count() == 0 && !limits_.greets) return;
  for_each([&](Connection& connection) {
    const bool greeting = connection.phase == Connection::Phase::greeting;
    const std::chrono::nanoseconds limit =
        greeting && limits_.hello.count() != 0 ? limits_.hello : limits_.idle;
    if (connection.phase == Connection::Phase::leaving || limit.count() == 0) return;
    // What waits for its turn was heard.
    if (connection.queued || now - connection.heard < limit) return;
    // Nor is it silent when it is we who did not listen: one look takes in some of those that have something.
    if (has_something(connection)) {
      connection.readable = true;
      queue(connection);
      return;
    }
    dismiss(connection, greeting ? "error no hello came in time\n" : "error nothing came for too long\n");
  });
}

Connection* Connections::next() noexcept {
  while (!ready_.empty()) {
    Connection* connection = find(ready_.front());
    ready_.pop_front();
    if (connection == nullptr) continue;
    connection->queued = false;
    return connection;
  }
  return nullptr;
}

void Connections::queue(Connection& connection) {
  if (connection.queued) return;
  connection.queued = true;
  ready_.push_back(connection.id);
}

Connection* Connections::find(ConnectionId id) noexcept {
  if (id.slot >= slots_.size() || !slots_[id.slot]) return nullptr;
  return slots_[id.slot]->id.generation == id.generation ? slots_[id.slot].get() : nullptr;
}

std::string_view Connections::read(Connection& connection) {
  const ssize_t bytes = ::recv(connection.fd.get(), scratch_.data(), scratch_.size(), MSG_DONTWAIT);
  if (bytes > 0) {
    connection.heard = Clock::now();
    return {scratch_.data(), static_cast<std::size_t>(bytes)};
  }
  if (bytes < 0 && errno == EINTR) return {};
  connection.readable = false;
  if (bytes == 0) connection.ended = true;
  if (bytes < 0 && errno != EAGAIN && errno != EWOULDBLOCK) connection.broken = true;
  return {};
}

void Connections::send(Connection& connection, std::string_view line) {
  connection.unsent.append(line);
  while (connection.writable && !connection.broken && !connection.unsent.empty()) {
    const ssize_t bytes = ::send(connection.fd.get(), connection.unsent.data(), connection.unsent.size(),
                                 MSG_NOSIGNAL | MSG_DONTWAIT);
    if (bytes > 0) {
      connection.unsent.erase(0, static_cast<std::size_t>(bytes));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      connection.writable = false;
    } else if (errno != EINTR) {
      connection.broken = true;
    }
  }
  // Its turn is its end.
  if (connection.broken) queue(connection);
}

void Connections::dismiss(Connection& connection, std::string_view line) {
  if (connection.phase == Connection::Phase::leaving) return;
  connection.phase = Connection::Phase::leaving;
  send(connection, line);
  leaving_.push_back({connection.id, Clock::now() + kLeaveLimit});
  connection.readable = true;
  queue(connection);
}

void Connections::leave(Connection& connection) {
  if (connection.readable) read(connection);
  if (!connection.unsent.empty()) send(connection, {});
  if (connection.unsent.empty()) ::shutdown(connection.fd.get(), SHUT_WR);
  if (connection.broken || (connection.ended && connection.unsent.empty())) {
    close(connection);
  } else if (connection.readable) {
    queue(connection);
  }
}

void Connections::close(Connection& connection) {
  const std::uint32_t slot = connection.id.slot;
  slots_[slot].reset();
  free_.push_back(slot);
  --count_;
}

void Connections::stop_listening() noexcept {
  listening_ = false;
  std::ignore = ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, listener_, nullptr);
  // The socket is the same in all processes. A worker that serves it later listens again; a Unix socket could not.
  int domain = AF_UNIX;
  socklen_t bytes = sizeof(domain);
  const bool known = ::getsockopt(listener_, SOL_SOCKET, SO_DOMAIN, &domain, &bytes) == 0;
  if (known && domain != AF_UNIX) std::ignore = ::shutdown(listener_, SHUT_RD);
}

std::string_view Connections::take_trouble() noexcept {
  const std::string_view trouble = trouble_;
  trouble_ = {};
  return trouble;
}

}  // namespace sluice::detail
