// SPDX-License-Identifier: Apache-2.0
#include "kafka_broker.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <sstream>
#include <sys/wait.h>
#include <tuple>

#include <gtest/gtest.h>

#include "kafka_broker_process.hpp"

namespace sluice::test {

KafkaBroker::KafkaBroker(const std::string& topic, int partitions, const std::filesystem::path& journal) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
    throw std::runtime_error{"no pair of sockets"};
  keeper_ = ::fork();
  if (keeper_ == 0) {
    ::close(ends[0]);
    keep_kafka_broker({topic, partitions, port(), journal.string()}, ends[1]);
  }
  ::close(ends[1]);
  orders_ = ends[0];
  start();
}

KafkaBroker::~KafkaBroker() {
  kill();
  ::close(orders_);
  ::waitpid(keeper_, nullptr, 0);
}

bool KafkaBroker::order(char what) const {
  char said = 0;
  return ::send(orders_, &what, 1, MSG_NOSIGNAL) == 1 && ::read(orders_, &said, 1) == 1 && said == kDone;
}

void KafkaBroker::kill() const {
  EXPECT_TRUE(order(kKillBroker)) << "the broker had ended before";
}

void KafkaBroker::start() const {
  if (!order(kStartBroker)) throw std::runtime_error{"the broker of the test does not start"};
}

std::string KafkaBroker::ask(const std::string& what) const {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(port()));
  const std::string request =
      kafka_frame(KafkaWriteBuffer{}.i16(kAskTransactionLog).i16(0).i32(0).text("test").text(what).bytes());
  std::string received;
  std::optional<std::string_view> answer;
  if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
      ::send(fd, request.data(), request.size(), MSG_NOSIGNAL) == ssize_t(request.size())) {
    char piece[65536];
    for (ssize_t got; !answer && (got = ::recv(fd, piece, sizeof(piece), 0)) > 0;) {
      received.append(piece, static_cast<std::size_t>(got));
      std::string_view rest = received;
      answer = next_kafka_frame(rest);
    }
  }
  ::close(fd);
  if (!answer) throw std::runtime_error{"the broker of the test is gone"};
  return std::string{answer->substr(4)};
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

std::size_t KafkaBroker::open() const {
  return std::stoul(ask("open"));
}

void KafkaBroker::treat_ends(KafkaEnds treatment) const {
  std::ignore = ask("ends " + std::to_string(static_cast<int>(treatment)));
}

std::size_t KafkaBroker::unanswered() const {
  return std::stoul(ask("unanswered"));
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

}  // namespace sluice::test
