// SPDX-License-Identifier: Apache-2.0
#include "kafka_cluster.hpp"

#include <array>
#include <csignal>
#include <cstdlib>
#include <fcntl.h>
#include <functional>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <sstream>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utility>

#include <gtest/gtest.h>

namespace sluice::test {
namespace {

constexpr int kTimeoutMs = 20'000;

std::string read_end(int fd) {
  std::string text;
  std::array<char, 65536> piece{};
  for (ssize_t got; (got = ::read(fd, piece.data(), piece.size())) > 0;)
    text.append(piece.data(), static_cast<std::size_t>(got));
  return text;
}

void write_end(int fd, const std::string& text) {
  for (std::size_t done = 0; done < text.size();) {
    const ssize_t bytes = ::write(fd, text.data() + done, text.size() - done);
    if (bytes <= 0) return;
    done += static_cast<std::size_t>(bytes);
  }
}

std::string in_child(const std::function<std::string()>& work) {
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) throw std::runtime_error{"no pipe"};
  const pid_t child = ::fork();
  if (child == 0) {
    write_end(ends[1], work());
    ::_exit(0);
  }
  ::close(ends[1]);
  std::string result = read_end(ends[0]);
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_EQ(status, 0);
  return result;
}

rd_kafka_t* make(rd_kafka_type_t type, const std::string& brokers) {
  rd_kafka_conf_t* config = rd_kafka_conf_new();
  std::array<char, 256> text{};
  rd_kafka_conf_set(config, "bootstrap.servers", brokers.c_str(), text.data(), text.size());
  rd_kafka_conf_set(config, "log_level", "0", text.data(), text.size());
  if (type == RD_KAFKA_CONSUMER) {
    rd_kafka_conf_set(config, "group.id", "test", text.data(), text.size());
    rd_kafka_conf_set(config, "enable.partition.eof", "true", text.data(), text.size());
    rd_kafka_conf_set(config, "auto.offset.reset", "earliest", text.data(), text.size());
  }
  return rd_kafka_new(type, config, text.data(), text.size());
}

// A line each: "topic NAME CODE", "request KIND CODE", "delay answers MILLISECONDS".
[[noreturn]] void obey(rd_kafka_mock_cluster_t* cluster, int commands, int obeyed) {
  constexpr int kRequests = 20;
  std::string line;
  for (char letter = 0; ::read(commands, &letter, 1) == 1;) {
    if (letter != '\n') {
      line.push_back(letter);
      continue;
    }
    std::istringstream words{std::exchange(line, {})};
    std::string what;
    std::string name;
    int code = 0;
    words >> what >> name >> code;
    const auto error = static_cast<rd_kafka_resp_err_t>(code);
    if (what == "topic") rd_kafka_mock_topic_set_error(cluster, name.c_str(), error);
    for (int i = 0; what == "request" && i < kRequests; ++i)
      rd_kafka_mock_push_request_errors(cluster, static_cast<std::int16_t>(std::stoi(name)), 1, error);
    if (what == "delay") rd_kafka_mock_broker_set_rtt(cluster, 1, code);
    write_end(obeyed, "x");
  }
  ::_exit(0);
}

}  // namespace

KafkaCluster::KafkaCluster(const std::vector<std::string>& topics, int partitions) : partitions_{partitions} {
  if (const char* named = std::getenv("SLUICE_KAFKA_BROKERS"); named != nullptr) {
    brokers_ = named;
    return;
  }
  std::array<int, 2> ends{};
  std::array<int, 2> commands{};
  std::array<int, 2> obeyed{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0 || ::pipe2(commands.data(), O_CLOEXEC) != 0 ||
      ::pipe2(obeyed.data(), O_CLOEXEC) != 0)
    throw std::runtime_error{"no pipe"};
  pid_ = ::fork();
  if (pid_ == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    rd_kafka_t* handle = make(RD_KAFKA_PRODUCER, "127.0.0.1:1");
    rd_kafka_mock_cluster_t* cluster = rd_kafka_mock_cluster_new(handle, 1);
    for (const std::string& topic : topics)
      rd_kafka_mock_topic_create(cluster, topic.c_str(), partitions, 1);
    write_end(ends[1], rd_kafka_mock_cluster_bootstraps(cluster));
    ::close(ends[1]);
    obey(cluster, commands[0], obeyed[1]);
  }
  ::close(ends[1]);
  ::close(commands[0]);
  ::close(obeyed[1]);
  commands_ = commands[1];
  obeyed_ = obeyed[0];
  brokers_ = read_end(ends[0]);
  ::close(ends[0]);
}

KafkaCluster::~KafkaCluster() {
  if (pid_ == 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  ::close(commands_);
  ::close(obeyed_);
}

void KafkaCluster::command(const std::string& what, int code) const {
  write_end(commands_, what + " " + std::to_string(code) + "\n");
  char word = 0;
  if (::read(obeyed_, &word, 1) != 1) throw std::runtime_error{"the mock cluster is gone"};
}

void KafkaCluster::send(const std::string& topic, const std::vector<std::string>& values) const {
  in_child([&] {
    rd_kafka_t* producer = make(RD_KAFKA_PRODUCER, brokers_);
    rd_kafka_topic_t* named = rd_kafka_topic_new(producer, topic.c_str(), nullptr);
    std::int32_t partition = 0;
    for (const std::string& value : values) {
      rd_kafka_produce(named, partition, RD_KAFKA_MSG_F_COPY, const_cast<char*>(value.data()), value.size(),
                       nullptr, 0, nullptr);
      partition = (partition + 1) % partitions_;
    }
    rd_kafka_flush(producer, kTimeoutMs);
    return std::string{};
  });
}

std::vector<std::vector<std::string>> KafkaCluster::values_of(const std::string& topic) const {
  std::istringstream text{in_child([&] {
    rd_kafka_t* consumer = make(RD_KAFKA_CONSUMER, brokers_);
    rd_kafka_poll_set_consumer(consumer);
    rd_kafka_topic_partition_list_t* all = rd_kafka_topic_partition_list_new(partitions_);
    for (int partition = 0; partition < partitions_; ++partition)
      rd_kafka_topic_partition_list_add(all, topic.c_str(), partition)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(consumer, all);
    std::string out;
    for (int at_end = 0; at_end < partitions_;) {
      rd_kafka_message_t* message = rd_kafka_consumer_poll(consumer, kTimeoutMs);
      if (message == nullptr) break;
      if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) ++at_end;
      if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        out.append(std::to_string(message->partition))
            .append(" ")
            .append(std::to_string(message->len))
            .append("\n");
        out.append(static_cast<const char*>(message->payload), message->len);
      }
      rd_kafka_message_destroy(message);
    }
    return out;
  })};
  std::vector<std::vector<std::string>> values(static_cast<std::size_t>(partitions_));
  std::size_t partition = 0;
  for (std::size_t size = 0; text >> partition >> size;) {
    text.get();
    std::string value(size, '\0');
    text.read(value.data(), static_cast<std::streamsize>(size));
    values.at(partition).push_back(std::move(value));
  }
  return values;
}

}  // namespace sluice::test
