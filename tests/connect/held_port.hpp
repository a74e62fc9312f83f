// SPDX-License-Identifier: Apache-2.0
// A port that stays this test's while its server is away: the socket is bound and never listens. Servers that set SO_REUSEADDR, as this
// does, bind it all the same; the kernel gives it to nobody else, and to no connection, which could be one to itself.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/socket.h>
#include <unistd.h>

namespace sluice::test {

class HeldPort {
 public:
  HeldPort() : socket_{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)} {
    const int again = 1;
    ::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &again, sizeof(again));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    socklen_t size = sizeof(address);
    if (::bind(socket_, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
      throw std::runtime_error{"no port is free"};
    number_ = ntohs(address.sin_port);
  }
  ~HeldPort() { ::close(socket_); }
  HeldPort(const HeldPort&) = delete;
  HeldPort& operator=(const HeldPort&) = delete;
  int number() const noexcept { return number_; }

 private:
  int socket_;
  int number_ = 0;
};

}  // namespace sluice::test
