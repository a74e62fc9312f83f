// SPDX-License-Identifier: Apache-2.0
#include "multicast.hpp"

#include <cerrno>
#include <cstring>
#include <net/if.h>
#include <netinet/in.h>
#include <tuple>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/printable.hpp>

namespace sluice::detail {
namespace {

sockaddr_in as_4(const SocketAddress& address) noexcept {
  sockaddr_in bytes{};
  std::memcpy(&bytes, &address.bytes, sizeof(bytes));
  return bytes;
}

sockaddr_in6 as_6(const SocketAddress& address) noexcept {
  sockaddr_in6 bytes{};
  std::memcpy(&bytes, &address.bytes, sizeof(bytes));
  return bytes;
}

int join_4(int fd, const SocketAddress& group, unsigned interface) noexcept {
  ip_mreqn wanted{};
  wanted.imr_multiaddr = as_4(group).sin_addr;
  wanted.imr_ifindex = static_cast<int>(interface);
  // Not what others of this machine have joined elsewhere.
  const int no = 0;
  std::ignore = ::setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &no, sizeof(no));
  return ::setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &wanted, sizeof(wanted));
}

int join_6(int fd, const SocketAddress& group) noexcept {
  ipv6_mreq wanted{};
  const sockaddr_in6 address = as_6(group);
  wanted.ipv6mr_multiaddr = address.sin6_addr;
  wanted.ipv6mr_interface = address.sin6_scope_id;
  return ::setsockopt(fd, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, &wanted, sizeof(wanted));
}

}  // namespace

unsigned prepare_group(const std::string& text, SocketAddress& address, const SocketUse& use) {
  const bool is_group = is_multicast(address);
  if (is_group && use.kind == SOCK_STREAM)
    throw Error{{"listen at", printable(text), "an address of multicast is for datagrams",
                 "take an address that this machine has, or * for all of them"}};
  if (use.interface.empty()) return 0;
  if (!is_group)
    throw Error{
        {"receive at", printable(text),
         fmt::format("an interface is given, {}, and it is no multicast address", printable(use.interface)),
         "bind to the address that this interface has"}};
  const unsigned interface = ::if_nametoindex(use.interface.c_str());
  if (interface == 0)
    throw Error{{"receive at", printable(text),
                 fmt::format("interface {}: {}", printable(use.interface), errno_text()),
                 "name one that `ip link` shows"}};
  if (address.bytes.ss_family == AF_INET6) {
    sockaddr_in6 bytes = as_6(address);
    bytes.sin6_scope_id = interface;
    std::memcpy(&address.bytes, &bytes, sizeof(bytes));
  }
  return interface;
}

void join_group(int fd, const std::string& text, const SocketAddress& group, unsigned interface) {
  const bool is_4 = group.bytes.ss_family == AF_INET;
  if ((is_4 ? join_4(fd, group, interface) : join_6(fd, group)) == 0) return;
  throw Error{{"join the group", printable(text), errno_text(),
               "name the interface where it comes in: DatagramSocketOptions::interface"}};
}

}  // namespace sluice::detail
