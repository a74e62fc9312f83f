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

namespace sluice::detail {
namespace {

// A line of the protocol is a few words.
constexpr std::size_t kMostUnread = 64UL * 1024;

}  // namespace

ClientConnection::ClientConnection(const std::string& address, std::chrono::nanoseconds limit)
    : ClientConnection{address, parse_addresses(address, SOCK_STREAM), limit} {}

ClientConnection::ClientConnection(std::string name, const std::vector<SocketAddress>& addresses,
                                   std::chrono::nanoseconds limit)
    : address_{std::move(name)} {
  const Clock::time_point until = Clock::now() + limit;
  std::string why;
  std::size_t left = addresses.size();
  for (const SocketAddress& server : addresses) {
    // One that does not answer leaves time for the others.
    const Clock::time_point now = Clock::now();
    why = try_to_connect(server, now + (until - now) / static_cast<std::int64_t>(left--));
    if (why.empty()) return;
  }
  unavailable(why);
}

std::string ClientConnection::try_to_connect(const SocketAddress& server, Clock::time_point until) {
  fd_ = Descriptor{::socket(server.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  if (!fd_) return errno_text();
  const int yes = 1;
  if (!server.is_unix()) std::ignore = ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
  if (::connect(fd_.get(), server.get(), server.length) == 0) return {};
  // A Unix socket says EAGAIN when the server's queue is full.
  if (errno != EINPROGRESS) return errno_text();
  if (!is_ready(true, until)) return "it does not answer";
  int error = 0;
  socklen_t bytes = sizeof(error);
  if (::getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &error, &bytes) != 0) error = errno;
  return error == 0 ? std::string{} : errno_text(error);
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

void ClientConnection::check_time(Clock::time_point until) const {
  if (Clock::now() >= until) unavailable("it does not answer");
}

void ClientConnection::wait(bool to_send, Clock::time_point until) const {
  check_time(until);
  if (!is_ready(to_send, until)) unavailable("it does not answer");
}

bool ClientConnection::is_ready(bool to_send, Clock::time_point until) const {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now()).count();
    pollfd entry{fd_.get(), static_cast<short>(POLLIN | (to_send ? POLLOUT : 0)), 0};
    const int ready = ::poll(&entry, 1, static_cast<int>(std::clamp<std::int64_t>(left, 0, 1'000'000)));
    if (ready >= 0) return ready != 0;
    if (errno != EINTR) unavailable(errno_text());
  }
}

void ClientConnection::unavailable(std::string_view why) const {
  throw Unavailable{fmt::format("the server at {}: {}", printable(address_), why)};
}

}  // namespace sluice::detail
