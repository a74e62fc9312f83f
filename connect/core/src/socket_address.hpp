// SPDX-License-Identifier: Apache-2.0
// Addresses of sockets as text: "127.0.0.1:7000", "[::1]:7000", "*:7000", "unix:/path", "unix:@name".
#pragma once

#include <string>
#include <string_view>
#include <sys/socket.h>
#include <vector>

namespace sluice::detail {

struct SocketAddress {
  sockaddr_storage bytes{};
  socklen_t length = 0;

  bool is_unix() const noexcept { return bytes.ss_family == AF_UNIX; }
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&bytes); }
  sockaddr* get() noexcept { return reinterpret_cast<sockaddr*>(&bytes); }
};

// What an address that is given as text names; `kind` is SOCK_STREAM or SOCK_DGRAM, and `passive` is for the side that
// binds it. Asks the resolver for a name that is no number, and so may block. Throws Error for what is no address; what the
// resolver cannot say now is Unavailable.
SocketAddress parse_address(std::string_view text, int kind, bool passive);
// All addresses of the name, for the side that connects: one at least. What nobody can connect to is no address there.
std::vector<SocketAddress> parse_addresses(std::string_view text, int kind);

// A group of datagrams.
bool is_multicast(const SocketAddress& address) noexcept;

// As parse_address() reads it; an IPv4 address that an IPv6 socket has as one of its own is written as what it is.
std::string to_text(const SocketAddress& address);

// The other end of a connection: FrameHead::peer.
std::string peer_text(int fd, const SocketAddress& peer);

}  // namespace sluice::detail
