// SPDX-License-Identifier: Apache-2.0
#include "kafka_broker_process.hpp"

#include <arpa/inet.h>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <map>
#include <netinet/in.h>
#include <poll.h>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "kafka_transaction_log.hpp"

namespace sluice::test {
namespace {

using Clock = std::chrono::steady_clock;

bool send_frame(int fd, const std::string& text) {
  const std::string bytes = kafka_frame(text);
  return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == ssize_t(bytes.size());
}

class Server {
 public:
  explicit Server(const KafkaBrokerShape& shape)
      : log_{shape.topic, shape.partitions, shape.port},
        journal_{::open(shape.journal.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)} {
    replay(shape.journal);
    listen_at(shape.port);
  }
  [[noreturn]] void serve();

 private:
  static constexpr std::chrono::milliseconds kKeptBack{20};

  void replay(const std::string& journal);
  void listen_at(int port);
  bool take(int fd);
  void handle(int fd, std::string_view request);
  void forget(std::size_t socket);

  KafkaTransactionLog log_;
  int journal_;
  std::vector<pollfd> sockets_;  // The first one listens.
  std::map<int, std::string> received_;
  std::map<int, std::string> kept_back_;  // Who asks for messages asks once at a time.
  Clock::time_point since_;
};

// A request that was not written whole had no effect.
void Server::replay(const std::string& journal) {
  std::ifstream file{journal, std::ios::binary};
  const std::string all{std::istreambuf_iterator<char>{file}, {}};
  std::string_view rest = all;
  while (const auto request = next_kafka_frame(rest)) {
    try {
      static_cast<void>(log_.answer(*request));
    } catch (const KafkaCut&) {
    } catch (const std::exception&) {
      // It was told when it came.
    }
  }
  if (::ftruncate(journal_, static_cast<off_t>(all.size() - rest.size())) != 0)
    throw std::runtime_error{"no journal"};
}

void Server::listen_at(int port) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const int again = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &again, sizeof(again));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      ::listen(listener, 64) != 0)
    throw std::runtime_error{"the port is not to be had"};
  sockets_.push_back({listener, POLLIN, 0});
}

void Server::handle(int fd, std::string_view request) {
  if (log_.changes(request)) {
    const std::string entry = kafka_frame(request);
    if (::write(journal_, entry.data(), entry.size()) != ssize_t(entry.size()))
      throw std::runtime_error{"the journal takes nothing"};
  }
  const auto known = log_.answer(request);
  if (!known) return;
  if (log_.had_nothing()) {
    if (kept_back_.empty()) since_ = Clock::now();
    kept_back_[fd] = *known;
  } else if (!send_frame(fd, *known)) {
    throw KafkaCut{};
  }
}

// False when the connection is over.
bool Server::take(int fd) {
  char piece[65536];
  const ssize_t got = ::recv(fd, piece, sizeof(piece), 0);
  if (got <= 0) return false;
  std::string& received = received_[fd];
  received.append(piece, static_cast<std::size_t>(got));
  std::string_view rest = received;
  try {
    while (const auto request = next_kafka_frame(rest))
      handle(fd, *request);
  } catch (const KafkaCut&) {
    return false;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "the broker of the test: %s\n", error.what());
    return false;
  }
  received.erase(0, received.size() - rest.size());
  return true;
}

void Server::forget(std::size_t socket) {
  const int fd = sockets_[socket].fd;
  ::close(fd);
  received_.erase(fd);
  kept_back_.erase(fd);
  sockets_.erase(sockets_.begin() + static_cast<std::ptrdiff_t>(socket));
}

void Server::serve() {
  while (::poll(sockets_.data(), sockets_.size(),
                kept_back_.empty() ? -1 : static_cast<int>(kKeptBack.count())) >= 0) {
    if (Clock::now() - since_ >= kKeptBack) {
      for (const auto& [fd, text] : std::exchange(kept_back_, {}))
        send_frame(fd, text);
    }
    for (std::size_t i = sockets_.size(); i-- > 1;) {
      if (sockets_[i].revents != 0 && !take(sockets_[i].fd)) forget(i);
    }
    if (sockets_[0].revents != 0) sockets_.push_back({::accept(sockets_[0].fd, nullptr, nullptr), POLLIN, 0});
  }
  ::_exit(1);
}

void say(int fd, char word) {
  if (::write(fd, &word, 1) != 1) ::_exit(1);
}

[[noreturn]] void become_broker(const KafkaBrokerShape& shape, int orders) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  try {
    Server server{shape};
    say(orders, kDone);
    server.serve();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "the broker of the test: %s\n", error.what());
    say(orders, kHadEnded);
    ::_exit(1);
  }
}

}  // namespace

std::string kafka_frame(std::string_view bytes) {
  return KafkaWriteBuffer{}.i32(static_cast<std::int64_t>(bytes.size())).raw(bytes).bytes();
}

std::optional<std::string_view> next_kafka_frame(std::string_view& received) {
  if (received.size() < 4) return std::nullopt;
  const auto size = static_cast<std::size_t>(KafkaReadBuffer{received}.i32());
  if (received.size() - 4 < size) return std::nullopt;
  const std::string_view whole = received.substr(4, size);
  received.remove_prefix(4 + size);
  return whole;
}

void keep_kafka_broker(const KafkaBrokerShape& shape, int orders) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  pid_t broker = 0;
  for (char order = 0; ::read(orders, &order, 1) == 1;) {
    if (order == kStartBroker) {
      broker = ::fork();
      if (broker == 0) become_broker(shape, orders);
      if (broker < 0) say(orders, kHadEnded);
    } else {
      const bool had_ended = broker <= 0 || ::waitpid(broker, nullptr, WNOHANG) == broker;
      if (!had_ended) {
        ::kill(broker, SIGKILL);
        ::waitpid(broker, nullptr, 0);
      }
      broker = 0;
      say(orders, had_ended ? kHadEnded : kDone);
    }
  }
  ::_exit(0);
}

}  // namespace sluice::test
