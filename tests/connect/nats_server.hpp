// SPDX-License-Identifier: Apache-2.0
// A real nats-server for the tests: on loopback, on a free port, with a store directory of its own, killed and started again on
// the same port and directory; and what a test asks it, each question from a process of its own, since libnats has threads
// and a host that has any starts no pipeline.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <sys/types.h>
#include <vector>

#include "held_port.hpp"

namespace sluice::test {

// Whether the program is there.
bool has_nats_server();

class NatsProcess {
 public:
  // Starts it. `options` are lines of its configuration. With JetStream unless said otherwise.
  // Others than this machine reach it if it listens to more than loopback.
  explicit NatsProcess(std::filesystem::path directory, std::string options = {}, bool jetstream = true,
                       std::string address = "127.0.0.1");
  // Fails the test if the server has ended by itself, and prints the end of its log where the test has failed.
  ~NatsProcess();
  NatsProcess(const NatsProcess&) = delete;
  NatsProcess& operator=(const NatsProcess&) = delete;

  void kill();   // SIGKILL, and waits for its end. Fails the test if it has ended before.
  void start();  // On the port and the directory that it had. Waits until it answers.
  void pause();  // SIGSTOP.
  void resume();

  int port() const noexcept { return port_.number(); }
  // Throws if the server has ended by itself: nothing comes of waiting for one that has crashed.
  std::string url() const;

 private:
  bool has_ended() const;
  std::string end_of_log() const;

  std::filesystem::path directory_;
  std::string options_;
  bool jetstream_;
  std::string address_;
  HeldPort port_;
  pid_t pid_ = 0;
};

struct StreamMessage {
  std::uint64_t sequence = 0;
  std::string subject;
  std::string data;

  friend bool operator==(const StreamMessage&, const StreamMessage&) = default;
};

struct StreamShape {
  std::string name;
  std::string subject;
  std::int64_t max_message_bytes = -1;
  std::int64_t max_messages = -1;
  bool work_queue = false;
  bool discard_new = false;
  std::int64_t max_age_ns = 0;
  std::int64_t duplicates_ns = 500'000'000;  // The server's own 2 minutes are more than an outage of a test.
  unsigned replicas = 1;
  int max_consumers = -1;
};

// `work` in a process of its own; what it returns. A failure there fails the test.
std::string run_apart(const std::function<std::string()>& work);

// For tests that use libnats in their own process, and fork nothing that uses it too: once they have used it, run_apart() stays in this
// process. In a fork a lock that a thread of libnats held just then is held for ever.
void stay_here_once_libnats_is_used();

// Whether this process has used libnats. What it forks then has the same names for the answers of servers, and hears those of others:
// a test that forks several which have connections at once runs in a process of its own, as ctest does it.
bool has_used_libnats();

// Each waits until the server is there; `url` may be several with commas between them, of which one will do. A stream is made once the
// servers of a cluster have agreed on who leads them.
void make_stream(const std::string& url, const StreamShape& shape);
std::vector<StreamMessage> messages_of(const std::string& url, const std::string& stream);
void send_messages(const std::string& url, const std::string& subject,
                   const std::vector<std::string>& messages);
// A message with this header and no body.
void send_header(const std::string& url, const std::string& subject, const std::string& name,
                 const std::string& value);
// One behind the other, each until a server has acknowledged it, so that they are there once and in order though a server dies
// meanwhile. Each has an id of `subject` and its number, `first` and up, which the stream must remember for as long.
void send_each(const std::string& url, const std::string& subject, const std::vector<std::string>& messages,
               std::uint64_t first);
void delete_message(const std::string& url, const std::string& stream, std::uint64_t sequence);
void purge_stream(const std::string& url, const std::string& stream);
void delete_stream(const std::string& url, const std::string& stream);
std::size_t delete_consumers(const std::string& url, const std::string& stream);  // How many there were.
// One that acknowledges each message, of all subjects.
void make_queue_consumer(const std::string& url, const std::string& stream, const std::string& name);
std::uint64_t count_of(const std::string& url, const std::string& stream);
// The same, and nothing if nobody tells it within some seconds, as while the servers of a cluster find a leader.
std::optional<std::uint64_t> count_if_told(const std::string& url, const std::string& stream);
// The name of the server that leads it; empty while there is none.
std::string leader_of(const std::string& url, const std::string& stream);
// Until JetStream has answered so many more requests of that name, "STREAM.INFO.ORDERS", say. Not of all kinds are told.
void wait_for_requests(const std::string& url, const std::string& request, unsigned count);

}  // namespace sluice::test
