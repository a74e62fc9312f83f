// SPDX-License-Identifier: Apache-2.0
#include "client_connection.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/unavailable.hpp>

#include "socket_address.hpp"

namespace sluice::detail {
namespace {

// A line of the protocol is a few words.
constexpr std::size_t kMostUnread = 64UL * 1024;

}  // namespace

ClientConnection::ClientConnection(std::string address, std::chrono::nanoseconds limit)
    : address_{std::move(address)} {
  const Clock::time_point until = Clock::now() + limit;
  const SocketAddress server = parse_address(address_, SOCK_STREAM, false);
  fd_ = Descriptor{::socket(server.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd_) unavailable(errno_text());
  const int yes = 1;
  if (!server.is_unix()) std::ignore = ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  if (::connect(fd_.get(), server.get(), server.length) == 0) return;
  // A Unix socket says EAGAIN when the server's queue is full.
  if (errno != EINPROGRESS) unavailable(errno_text());
  wait(true, until);
  int error = 0;
  socklen_t bytes = sizeof(error);
  if (::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) error = errno;
  if (error != 0) unavailable(errno_text(error));
}

void ClientConnection::send_some(std::string_view& bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return;
    } else if (errno != EINTR) {
      // What the server has said before it closed says more.
      if (received_.find('\n') != std::string::npos) return;
      unavailable(errno_text());
    }
  }
}

std::optional<std::string> ClientConnection::line() {
  while (true) {
    const std::size_t end = received_.find('\n');
    if (end != std::string::npos) {
      std::string line = received_.substr(0, end);
      received_.erase(0, end + 1);
      return line;
    }
    if (received_.size() > kMostUnread) unavailable("it does not speak the protocol");
    std::array<char, 4096> piece;
    const ssize_t got = ::recv(fd_.get(), piece.data(), piece.size(), MSG_DONTWAIT);
    if (got > 0) {
      received_.append(piece.data(), static_cast<std::size_t>(got));
    } else if (got == 0) {
      unavailable("it has ended the connection");
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      return std::nullopt;
    } else if (errno != EINTR) {
      unavailable(errno_text());
    }
  }
}

void ClientConnection::wait(bool to_send, Clock::time_point until) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
  pollfd entry{fd_.get(), static_cast<short>(POLLIN | (to_send ? POLLOUT : 0)), 0};
  const int ready = ::poll(&entry, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000)));
  if (ready == 0) unavailable("it does not answer");
  if (ready < 0 && errno != EINTR) unavailable(errno_text());
}

void ClientConnection::unavailable(std::string_view why) const {
  throw Unavailable{fmt::format("the server at {}: {}", printable(address_), why)};
}

}  // namespace sluice::detail
