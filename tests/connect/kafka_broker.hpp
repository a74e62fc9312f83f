// SPDX-License-Identifier: Apache-2.0
// A Kafka broker for the tests that has transactions, as the protocol describes them, in a process of its own: what was not committed
// nobody sees, whoever asks for a transactional id ends and fences who had it, and offsets move with their transaction. Of the
// protocol it knows what KafkaSink and KafkaSource ask for. A transaction that is left open stays so: no time limit ends it.
#pragma once

#include <string>
#include <sys/types.h>
#include <vector>

namespace sluice::test {

class KafkaBroker {
 public:
  KafkaBroker(const std::string& topic, int partitions);
  ~KafkaBroker();
  KafkaBroker(const KafkaBroker&) = delete;
  KafkaBroker& operator=(const KafkaBroker&) = delete;

  int port() const noexcept { return port_; }
  // Clients are told to come by way of this port.
  void advertise(int port) const;
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }
  // What readers of committed messages get, by partition and in order.
  std::vector<std::vector<std::string>> committed() const;
  // Messages whose transaction was given up, and those whose transaction is open.
  std::size_t aborted() const;
  std::size_t open() const;
  // While held, who ends a transaction hears nothing, and it stays open.
  void hold_ends(bool held) const;
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

  int port_ = 0;
  pid_t pid_ = 0;
};

}  // namespace sluice::test
