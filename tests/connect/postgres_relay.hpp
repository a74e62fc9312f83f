// SPDX-License-Identifier: Apache-2.0
// A relay between a client and a server of PostgreSQL, in a process of its own: it can cut connections within a COMMIT, hold
// a request back, and change what the server says of itself.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <sys/types.h>

namespace sluice::test {

struct RelayOptions {
  // Every so manyth request with a COMMIT in it is cut at random: after all of it is forwarded and before the answer, or in its
  // midst. 0: none.
  unsigned cut_one_of = 0;
  unsigned most_cuts = 0;
  std::string log = {};  // A line for each cut, and for what is held.
  unsigned seed = 0;
  // In what the server sends; of the same length.
  std::string replace = {};
  std::string by = {};
  // The first request with this in it arrives only once there is the file `release`, also if the client is gone by then.
  std::string hold = {};
  std::string release = {};
};

class PostgresRelay {
 public:
  // Before the host has threads: it forks.
  PostgresRelay(int server_port, const RelayOptions& options);
  ~PostgresRelay();
  PostgresRelay(const PostgresRelay&) = delete;
  PostgresRelay& operator=(const PostgresRelay&) = delete;

  std::string url() const;
  std::uint64_t bytes() const noexcept { return *bytes_; }  // That clients have sent.

 private:
  int port_ = 0;
  pid_t process_ = 0;
  std::atomic<std::uint64_t>* bytes_;  // In memory that the process shares.
};

}  // namespace sluice::test
