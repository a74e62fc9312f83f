// SPDX-License-Identifier: Apache-2.0
// As much of Kafka's protocol as comes before a password is refused: the versions, the handshake, the refusal.
#include <array>
#include <csignal>
#include <cstdint>
#include <netinet/in.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kafka_cluster.hpp"

namespace sluice::test {
namespace {

constexpr unsigned kVersions = 18;
constexpr unsigned kHandshake = 17;
constexpr unsigned kAuthenticate = 36;

using Bytes = std::string;

Bytes number(std::uint32_t value, int bytes) {
  Bytes text;
  while (bytes-- > 0)
    text.push_back(static_cast<char>(value >> (8U * static_cast<unsigned>(bytes))));
  return text;
}

std::uint32_t number_in(std::string_view text) {
  std::uint32_t value = 0;
  for (const char byte : text)
    value = value << 8U | static_cast<unsigned char>(byte);
  return value;
}

bool read_all(int fd, std::size_t bytes, Bytes& into) {
  into.resize(bytes);
  return ::recv(fd, into.data(), bytes, MSG_WAITALL) == static_cast<ssize_t>(bytes);
}

Bytes answer_to(unsigned request) {
  // No error, three requests with the versions of them, no throttling; a byte 0 ends what has optional parts.
  if (request == kVersions) {
    const auto versions = [](unsigned of, unsigned last) {
      return number(of, 2) + number(0, 2) + number(last, 2) + number(0, 1);
    };
    return number(0, 2) + number(4, 1) + versions(kVersions, 3) + versions(kHandshake, 1) +
           versions(kAuthenticate, 0) + number(0, 4) + number(0, 1);
  }
  if (request == kHandshake) return number(0, 2) + number(1, 4) + number(5, 2) + "PLAIN";
  constexpr unsigned kAuthenticationFailed = 58;
  const Bytes why = "Invalid username or password";
  return number(kAuthenticationFailed, 2) + number(static_cast<std::uint32_t>(why.size()), 2) + why +
         number(0, 4);
}

void serve(int fd) {
  Bytes size;
  Bytes request;
  while (read_all(fd, 4, size) && read_all(fd, number_in(size), request)) {
    const unsigned kind = number_in(std::string_view{request}.substr(0, 2));
    const Bytes body = request.substr(4, 4) + answer_to(kind);
    const Bytes whole = number(static_cast<std::uint32_t>(body.size()), 4) + body;
    if (::send(fd, whole.data(), whole.size(), MSG_NOSIGNAL) < 0 || kind == kAuthenticate) break;
  }
  ::close(fd);
}

}  // namespace

KafkaDoorkeeper::KafkaDoorkeeper() {
  const int door = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = ::htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (::bind(door, any, size) != 0 || ::listen(door, 8) != 0 || ::getsockname(door, any, &size) != 0)
    throw std::runtime_error{"no socket"};
  address_ = "127.0.0.1:" + std::to_string(::ntohs(address.sin_port));
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
      serve(::accept(door, nullptr, nullptr));
  }
  ::close(door);
}

KafkaDoorkeeper::~KafkaDoorkeeper() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

}  // namespace sluice::test
