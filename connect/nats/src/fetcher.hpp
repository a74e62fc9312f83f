// SPDX-License-Identifier: Apache-2.0
// Fetcher: pulls messages in a thread of its own, since the library's pull blocks, and says by a descriptor that there are
// some: a source waits for that by Worker::wait_for, costs no processor while it is idle, and hears of a drain.
//
// A pull asks for what is there or, if there is nothing, for what comes first, and returns after two seconds at the latest.
// So one that the server forgot is renewed then. At most two pulls' messages are held; then the thread waits.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "client.hpp"
#include "pull.hpp"

namespace sluice::detail {

class Fetcher {
 public:
  // Messages of one pull, at least one.
  using Batch = NatsPull::Batch;

  // The worker's. Pulls from that consumer.
  Fetcher(const NatsClient& client, const std::string& stream, const std::string& consumer,
          std::size_t batch);
  // Closes the connection, which ends a pull.
  ~Fetcher();
  Fetcher(const Fetcher&) = delete;
  Fetcher& operator=(const Fetcher&) = delete;

  // Readable when take() has something to give or to throw.
  int fd() const noexcept { return event_; }
  // The messages of a pull, none if there are none now. Throws Unavailable when pulling has failed and all is taken.
  Batch take();

 private:
  void run();
  // Adds to the batch; an empty text, or why pulling ends.
  std::string pull(Batch& batch);

  const NatsClient& client_;
  NatsPull pull_;  // Used by the thread alone.
  const std::size_t batch_;
  const std::int64_t batch_bytes_;
  const int event_;
  // Under mutex_.
  std::mutex mutex_;
  std::condition_variable taken_;
  std::deque<Batch> batches_;
  std::string failed_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace sluice::detail
