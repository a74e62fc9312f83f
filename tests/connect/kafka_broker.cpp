// SPDX-License-Identifier: Apache-2.0
#include "kafka_broker.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <chrono>
#include <csignal>
#include <map>
#include <netinet/in.h>
#include <optional>
#include <poll.h>
#include <sstream>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <tuple>
#include <unistd.h>
#include <utility>

#include "kafka_transaction_log.hpp"

namespace sluice::test {
namespace {

std::string sized(const std::string& bytes) {
  return KafkaWriteBuffer{}.i32(static_cast<std::int64_t>(bytes.size())).bytes() + bytes;
}

// The next whole request or answer of a connection, taken off its front.
std::optional<std::string> next_of(std::string& received) {
  if (received.size() < 4) return std::nullopt;
  const auto size = static_cast<std::size_t>(KafkaReadBuffer{received}.i32());
  if (received.size() < 4 + size) return std::nullopt;
  std::string whole = received.substr(4, size);
  received.erase(0, 4 + size);
  return whole;
}

bool receive(int fd, std::string& into) {
  char piece[65536];
  const ssize_t got = ::recv(fd, piece, sizeof(piece), 0);
  if (got <= 0) return false;
  into.append(piece, static_cast<std::size_t>(got));
  return true;
}

bool answer(int fd, const std::string& text) {
  const std::string bytes = sized(text);
  return ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) == ssize_t(bytes.size());
}

[[noreturn]] void serve(int listener, KafkaTransactionLog log) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds kKeptBack{20};
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::vector<pollfd> sockets{{listener, POLLIN, 0}};
  std::map<int, std::string> received;
  std::map<int, std::string> kept_back;  // Who asks for messages asks once at a time.
  Clock::time_point since;
  while (::poll(sockets.data(), sockets.size(),
                kept_back.empty() ? -1 : static_cast<int>(kKeptBack.count())) >= 0) {
    if (Clock::now() - since >= kKeptBack) {
      for (const auto& [fd, text] : std::exchange(kept_back, {}))
        answer(fd, text);
    }
    for (std::size_t i = sockets.size(); i-- > 1;) {
      if (sockets[i].revents == 0) continue;
      const int fd = sockets[i].fd;
      bool fine = receive(fd, received[fd]);
      try {
        while (auto request = fine ? next_of(received[fd]) : std::nullopt) {
          const auto known = log.answer(*request);
          if (!known) continue;
          if (log.had_nothing()) {
            if (kept_back.empty()) since = Clock::now();
            kept_back[fd] = *known;
          } else {
            fine = answer(fd, *known);
          }
        }
      } catch (const KafkaCut&) {
        fine = false;
      } catch (const std::exception& error) {
        std::fprintf(stderr, "the broker of the test: %s\n", error.what());
        fine = false;
      }
      if (fine) continue;
      ::close(fd);
      received.erase(fd);
      kept_back.erase(fd);
      sockets.erase(sockets.begin() + static_cast<std::ptrdiff_t>(i));
    }
    if (sockets[0].revents != 0) sockets.push_back({::accept(listener, nullptr, nullptr), POLLIN, 0});
  }
  ::_exit(1);
}

}  // namespace

KafkaBroker::KafkaBroker(const std::string& topic, int partitions) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(listener, 64) != 0 ||
      ::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) != 0)
    throw std::runtime_error{"no port"};
  port_ = ntohs(address.sin_port);
  pid_ = ::fork();
  if (pid_ == 0) serve(listener, KafkaTransactionLog{topic, partitions, port_});
  ::close(listener);
}

KafkaBroker::~KafkaBroker() {
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

std::string KafkaBroker::ask(const std::string& what) const {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port_));
  const std::string request =
      sized(KafkaWriteBuffer{}.i16(kAskTransactionLog).i16(0).i32(0).text("test").text(what).bytes());
  std::string received;
  std::optional<std::string> answer;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
      ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) == ssize_t(request.size())) {
    while (!(answer = next_of(received)) && receive(fd, received)) {
    }
  }
  ::close(fd);
  if (!answer) throw std::runtime_error{"the broker of the test is gone"};
  return answer->substr(4);
}

std::vector<std::vector<std::string>> KafkaBroker::committed() const {
  std::vector<std::vector<std::string>> values;
  std::istringstream lines{ask("committed")};
  std::size_t partition = 0;
  for (std::string value; lines >> partition >> value;) {
    values.resize(std::max(values.size(), partition + 1));
    values[partition].push_back(value);
  }
  return values;
}

std::size_t KafkaBroker::aborted() const {
  return std::stoul(ask("aborted"));
}

void KafkaBroker::hold_ends(bool held) const {
  std::ignore = ask(held ? "hold ends" : "let ends");
}

void KafkaBroker::cut_ends() const {
  std::ignore = ask("cut ends");
}

void KafkaBroker::write(const std::string& fate, int partition,
                        const std::vector<std::string>& values) const {
  std::string what = "write " + fate + " " + std::to_string(partition);
  for (const std::string& value : values)
    what.append(" ").append(value);
  std::ignore = ask(what);
}

void KafkaBroker::finish(bool commit) const {
  std::ignore = ask(commit ? "commit open" : "abort open");
}

void KafkaBroker::advertise(int port) const {
  std::ignore = ask("advertise " + std::to_string(port));
}

void KafkaBroker::remove_all() const {
  std::ignore = ask("remove all");
}

std::size_t KafkaBroker::open() const {
  return std::stoul(ask("open"));
}

}  // namespace sluice::test
