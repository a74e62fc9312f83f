// SPDX-License-Identifier: Apache-2.0
// A Kafka broker for the tests that has transactions, as the protocol describes them, in a process of its own: what was not committed
// nobody sees, whoever asks for a transactional id ends and fences who had it, and offsets move with their transaction. Of the
// protocol it knows what KafkaSink and KafkaSource ask for. A transaction that is left open stays so: no time limit ends it.
// Who comes with a user and a password is refused.
//
// What changes something it writes into a file before it does it. So it can be killed at any instant, and one that is started again, on
// the same port, has what it had.
#pragma once

#include <filesystem>
#include <string>
#include <sys/types.h>
#include <vector>

#include "held_port.hpp"
#include "kafka_transaction_log.hpp"

namespace sluice::test {

class KafkaBroker {
 public:
  // Starts it. `journal` is a file that is not there yet.
  KafkaBroker(const std::string& topic, int partitions, const std::filesystem::path& journal);
  // Fails the test if it has ended by itself.
  ~KafkaBroker();
  KafkaBroker(const KafkaBroker&) = delete;
  KafkaBroker& operator=(const KafkaBroker&) = delete;

  void kill() const;   // SIGKILL, and waits for its end. Fails the test if it has ended before.
  void start() const;  // Waits until it listens.

  int port() const noexcept { return port_.number(); }
  // Clients are told to come by way of this port.
  void advertise(int port) const;
  std::string address() const { return "127.0.0.1:" + std::to_string(port()); }
  // What readers of committed messages get, by partition and in order.
  std::vector<std::vector<std::string>> committed() const;
  // Messages whose transaction was given up, and those whose transaction is open.
  std::size_t aborted() const;
  std::size_t open() const;
  // Of those who end a transaction, until the broker is started again; and how many of them have heard nothing since it was.
  void treat_ends(KafkaEnds treatment) const;
  std::size_t unanswered() const;
  // Of eight connections that end a transaction one breaks before, and one behind it: nobody hears what became of it.
  void cut_ends() const;

  // A transaction of somebody else, which is "committed", "aborted", or left "open".
  void write(const std::string& fate, int partition, const std::vector<std::string>& values) const;
  // Of what was left open.
  void finish(bool commit) const;
  // Retention takes all that is there.
  void remove_all() const;

 private:
  std::string ask(const std::string& what) const;
  bool order(char what) const;

  HeldPort port_;
  int orders_ = -1;  // To who keeps it, and his word.
  pid_t keeper_ = 0;
};

}  // namespace sluice::test
