// SPDX-License-Identifier: Apache-2.0
#include "socket_address.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/unavailable.hpp>

namespace sluice::detail {
namespace {

constexpr std::string_view kUnix = "unix:";

[[noreturn]] void refuse(std::string_view text, std::string why) {
  throw Error{{"use the address", printable(text), std::move(why),
               "write HOST:PORT, [IPV6]:PORT, *:PORT, unix:/PATH or unix:@NAME"}};
}

SocketAddress parse_unix(std::string_view text) {
  const std::string_view name = text.substr(kUnix.size());
  SocketAddress address;
  sockaddr_un unix_address{};
  unix_address.sun_family = AF_UNIX;
  // One byte for the zero at the end.
  if (name.size() >= sizeof(unix_address.sun_path))
    refuse(text, fmt::format("a path of a socket has {} bytes at most", sizeof(unix_address.sun_path) - 1));
  if (name.empty() || name == "@" || name.find('\0') != std::string_view::npos)
    refuse(text, "it has no path");
  std::copy(name.begin(), name.end(), unix_address.sun_path);
  const bool has_no_file = name[0] == '@';
  if (has_no_file) unix_address.sun_path[0] = '\0';
  std::memcpy(&address.bytes, &unix_address, sizeof(unix_address));
  address.length =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + (has_no_file ? 0 : 1));
  return address;
}

// Host and port, the host without its brackets.
std::pair<std::string, std::string> split(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) refuse(text, "it has no port");
  if (colon == 0) refuse(text, "it has no host");
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool is_number =
      !port.empty() && port.size() <= 5 && port.find_first_not_of("0123456789") == std::string_view::npos;
  if (!is_number || std::stoul(std::string{port}) > 65535)
    refuse(text, "its port is no number from 0 to 65535");
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  } else if (host.find(':') != std::string_view::npos) {
    refuse(text, "an IPv6 address stands in brackets");
  }
  return {std::string{host}, std::string{port}};
}

// Who asks for a server may ask before its name is there, or while it is not: that of a service without a process, say. Digits and
// colons are no name.
bool may_come_to_be(const std::string& host, int failed) {
  return failed == EAI_NONAME && host.find(':') == std::string::npos &&
         host.find_first_not_of("0123456789.") != std::string::npos;
}

std::vector<SocketAddress> find_addresses(std::string_view text, int kind, bool passive) {
  if (text.starts_with(kUnix)) return {parse_unix(text)};
  const auto [host, port] = split(text);
  addrinfo wanted{};
  wanted.ai_socktype = kind;
  wanted.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0);
  const bool everywhere = host == "*" && passive;
  // An IPv6 socket takes both kinds.
  if (everywhere) wanted.ai_family = AF_INET6;
  addrinfo* found = nullptr;
  int failed = ::getaddrinfo(everywhere ? nullptr : host.c_str(), port.c_str(), &wanted, &found);
  if (failed != 0 && everywhere) {
    wanted.ai_family = AF_INET;
    failed = ::getaddrinfo(nullptr, port.c_str(), &wanted, &found);
  }
  if (failed == EAI_AGAIN)
    throw Unavailable{fmt::format("the address of {} cannot be found now", printable(host))};
  if (!passive && may_come_to_be(host, failed))
    throw Unavailable{
        fmt::format("the address of {} cannot be found: {}", printable(host), ::gai_strerror(failed))};
  if (failed != 0 || found == nullptr)
    refuse(text, failed == EAI_SYSTEM ? errno_text() : ::gai_strerror(failed));
  std::vector<SocketAddress> addresses;
  for (const addrinfo* next = found; next != nullptr; next = next->ai_next) {
    SocketAddress& address = addresses.emplace_back();
    std::memcpy(&address.bytes, next->ai_addr, next->ai_addrlen);
    address.length = next->ai_addrlen;
  }
  ::freeaddrinfo(found);
  return addresses;
}

// What "[::ffff:127.0.0.1]" stands for.
SocketAddress unmapped(const sockaddr_in6& mapped) {
  sockaddr_in plain{};
  plain.sin_family = AF_INET;
  plain.sin_port = mapped.sin6_port;
  std::memcpy(&plain.sin_addr, &mapped.sin6_addr.s6_addr[12], sizeof(plain.sin_addr));
  SocketAddress address;
  std::memcpy(&address.bytes, &plain, sizeof(plain));
  address.length = sizeof(plain);
  return address;
}

}  // namespace

SocketAddress parse_address(std::string_view text, int kind, bool passive) {
  return find_addresses(text, kind, passive).front();
}

std::vector<SocketAddress> parse_addresses(std::string_view text, int kind) {
  if (text.starts_with("*:")) refuse(text, "* is where one listens, and no server's host");
  std::vector<SocketAddress> addresses = find_addresses(text, kind, false);
  const SocketAddress& first = addresses.front();
  sockaddr_in plain{};  // The port of both kinds stands at the same place.
  std::memcpy(&plain, &first.bytes, sizeof(plain));
  if (!first.is_unix() && plain.sin_port == 0) refuse(text, "nobody listens at port 0");
  if (is_multicast(first)) refuse(text, "an address of multicast is for datagrams");
  return addresses;
}

bool is_multicast(const SocketAddress& address) noexcept {
  if (address.bytes.ss_family == AF_INET) {
    sockaddr_in bytes{};
    std::memcpy(&bytes, &address.bytes, sizeof(bytes));
    return IN_MULTICAST(ntohl(bytes.sin_addr.s_addr));
  }
  if (address.bytes.ss_family != AF_INET6) return false;
  sockaddr_in6 bytes{};
  std::memcpy(&bytes, &address.bytes, sizeof(bytes));
  return IN6_IS_ADDR_MULTICAST(&bytes.sin6_addr);
}

std::string to_text(const SocketAddress& address) {
  if (address.is_unix()) {
    sockaddr_un unix_address{};
    std::memcpy(&unix_address, &address.bytes, sizeof(unix_address));
    const std::size_t length =
        address.length - std::min<std::size_t>(address.length, offsetof(sockaddr_un, sun_path));
    std::string name{unix_address.sun_path, length};
    if (name.empty()) return std::string{kUnix};
    if (name[0] == '\0') {
      name[0] = '@';
    } else {
      name.resize(::strnlen(name.c_str(), name.size()));
    }
    return name.insert(0, kUnix);
  }
  if (address.bytes.ss_family == AF_INET6) {
    sockaddr_in6 bytes{};
    std::memcpy(&bytes, &address.bytes, sizeof(bytes));
    if (IN6_IS_ADDR_V4MAPPED(&bytes.sin6_addr)) return to_text(unmapped(bytes));
  }
  char host[NI_MAXHOST] = {};
  char port[NI_MAXSERV] = {};
  if (::getnameinfo(address.get(), address.length, host, sizeof(host), port, sizeof(port),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0)
    return "?";
  return address.bytes.ss_family == AF_INET6 ? fmt::format("[{}]:{}", host, port)
                                             : fmt::format("{}:{}", host, port);
}

std::string peer_text(int fd, const SocketAddress& peer) {
  if (!peer.is_unix()) return to_text(peer);
  ucred other{};
  socklen_t length = sizeof(other);
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &other, &length) != 0) return std::string{kUnix};
  return fmt::format("pid {} uid {}", other.pid, other.uid);
}

}  // namespace sluice::detail
