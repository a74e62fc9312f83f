// SPDX-License-Identifier: Apache-2.0
#include "bound_socket.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <thread>
#include <unistd.h>

#include <sluice/error.hpp>

#include "multicast.hpp"
#include "sluice/connect/listener.hpp"
#include "sluice/connect/udp_server.hpp"
#include "socket_address.hpp"

namespace sluice {

namespace detail {

namespace {

// The port of both kinds of addresses stands at the same place.
static_assert(offsetof(sockaddr_in, sin_port) == offsetof(sockaddr_in6, sin6_port));

// The path of a socket that has one.
std::string path_of(const SocketAddress& address) {
  if (!address.is_unix()) return {};
  const std::string path = to_text(address).substr(5);
  return path[0] == '@' ? std::string{} : path;
}

// A socket that a listener which was killed has left behind: no process listens at it any more.
bool is_left_over(const SocketAddress& address, const std::string& path, int kind) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return false;
  const Descriptor probe{::socket(AF_UNIX, kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  return probe && ::connect(probe.get(), address.get(), address.length) != 0 && errno == ECONNREFUSED;
}

// Accepted connections have these, too.
void set_options(int fd, const SocketAddress& address, const SocketUse& use) noexcept {
  const bool is_unix = address.is_unix();
  const bool is_group = is_multicast(address);
  const auto set = [fd](int level, int option, int value) {
    // A kernel that knows an option not is as good: it makes the dead known later.
    std::ignore = ::setsockopt(fd, level, option, &value, sizeof(value));
  };
  if (use.kind == SOCK_DGRAM) {
    // What is sent to a group is for all who are in it.
    if (is_group) set(SOL_SOCKET, SO_REUSEADDR, 1);
    set(SOL_SOCKET, SO_RCVBUF, use.receive_bytes);
    // Each datagram comes with the count of those that were dropped before it.
    set(SOL_SOCKET, SO_RXQ_OVFL, 1);
    return;
  }
  if (is_unix) return;
  set(SOL_SOCKET, SO_REUSEADDR, 1);
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 60);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 10);
  set(IPPROTO_TCP, TCP_KEEPCNT, 3);
  set(IPPROTO_TCP, TCP_NODELAY, 1);
}

// Has the kernel choose a port, which is the caller's until the descriptor is closed. A socket that is bound to a port by
// its number keeps it when it stops listening, and can listen there again; one that the kernel chose for loses it.
Descriptor choose_port(SocketAddress& address, const SocketUse& use) noexcept {
  Descriptor fd;
  if (use.kind != SOCK_STREAM || address.is_unix() ||
      reinterpret_cast<const sockaddr_in*>(&address.bytes)->sin_port != 0)
    return fd;
  fd = Descriptor{::socket(address.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd) return fd;
  set_options(fd.get(), address, use);
  SocketAddress chosen;
  chosen.length = sizeof(chosen.bytes);
  if (::bind(fd.get(), address.get(), address.length) == 0 &&
      ::getsockname(fd.get(), chosen.get(), &chosen.length) == 0)
    address = chosen;
  return fd;
}

std::string remedy_for_address(int error, const std::string& path) {
  switch (error) {
    case EADDRINUSE:
      // Another user's, of which this one cannot know.
      if (!path.empty())
        return "end the process that has it, remove the socket if there is none, or take another path";
      return "end the process that has it, or take another address";
    case EINVAL:
      return "name the interface of an address that is of one link: [fe80::1%eth0]:7000";
    case EADDRNOTAVAIL:
      return "take an address that this machine has, or * for all of them";
    case EACCES:
    case EPERM:
      return "take a port of 1024 or more, or a path where this user may write; or give the program the "
             "right (CAP_NET_BIND_SERVICE)";
    case ENOENT:
      return "make the directory of that path";
    case EMFILE:
    case ENFILE:
      return "raise the limit of open files";
    default:
      return {};
  }
}

Descriptor open_and_bind(const SocketAddress& address, const std::string& path, const SocketUse& use,
                         int& error) {
  Descriptor fd{::socket(address.bytes.ss_family, use.kind | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
  error = errno;
  if (!fd) return fd;
  set_options(fd.get(), address, use);
  if (::bind(fd.get(), address.get(), address.length) != 0) {
    error = errno;
    if (error != EADDRINUSE || path.empty() || !is_left_over(address, path, use.kind)) return {};
    if (::unlink(path.c_str()) != 0) return {};
    if (::bind(fd.get(), address.get(), address.length) != 0) {
      error = errno;
      return {};
    }
  }
  if (use.kind != SOCK_STREAM || ::listen(fd.get(), use.backlog) == 0) return fd;
  error = errno;
  return {};
}

}  // namespace

BoundSocket::BoundSocket(Descriptor socket, std::string text, std::string file)
    : fd{std::move(socket)}, address{std::move(text)}, path{std::move(file)}, home{::getpid()} {
  struct stat status {};
  if (!path.empty() && ::lstat(path.c_str(), &status) == 0) inode = status.st_ino;
}

BoundSocket::~BoundSocket() {
  if (path.empty() || ::getpid() != home) return;
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0 && status.st_ino == inode) ::unlink(path.c_str());
}

std::shared_ptr<const BoundSocket> bind_socket(const std::string& address, const SocketUse& use,
                                               std::chrono::nanoseconds patience) {
  SocketAddress wanted = parse_address(address, use.kind, true);
  const unsigned interface = prepare_group(address, wanted, use);
  const std::string path = path_of(wanted);
  const Descriptor port = choose_port(wanted, use);
  const auto until = std::chrono::steady_clock::now() + patience;
  int error = 0;
  Descriptor fd = open_and_bind(wanted, path, use, error);
  const auto may_come_free = [&path] {
    struct stat status {};
    return path.empty() || ::lstat(path.c_str(), &status) != 0 || S_ISSOCK(status.st_mode);
  };
  while (!fd && error == EADDRINUSE && may_come_free() && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds{20});
    fd = open_and_bind(wanted, path, use, error);
  }
  const char* const tried = use.kind == SOCK_STREAM ? "listen at" : "receive at";
  if (!fd && error == EADDRINUSE && !may_come_free()) {
    throw Error{{tried, address, "a file of that name is there, and it is no socket",
                 "take another path, or remove what is there"}};
  }
  if (!fd) {
    throw Error{{tried, address, errno_text(error), remedy_for_address(error, path)}};
  }
  if (is_multicast(wanted)) join_group(fd.get(), address, wanted, interface);
  wanted.length = sizeof(wanted.bytes);
  std::string bound = address;
  if (path.empty() && ::getsockname(fd.get(), wanted.get(), &wanted.length) == 0) bound = to_text(wanted);
  return std::make_shared<const BoundSocket>(std::move(fd), std::move(bound), path);
}

}  // namespace detail

Listener::Listener(const std::string& address, const ListenerOptions& options)
    : socket_{detail::bind_socket(address, {SOCK_STREAM, options.backlog}, options.patience)} {}

const std::string& Listener::address() const noexcept {
  return socket_->address;
}

int Listener::descriptor() const noexcept {
  return socket_->fd.get();
}

DatagramSocket::DatagramSocket(const std::string& address, const DatagramSocketOptions& options)
    : socket_{detail::bind_socket(
          address,
          {SOCK_DGRAM, 0, static_cast<int>(std::min<std::uint32_t>(options.receive_bytes, 1U << 30)),
           options.interface},
          options.patience)} {}

const std::string& DatagramSocket::address() const noexcept {
  return socket_->address;
}

int DatagramSocket::descriptor() const noexcept {
  return socket_->fd.get();
}

}  // namespace sluice
