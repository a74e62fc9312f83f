// SPDX-License-Identifier: Apache-2.0
// The doorbell: what a process blocks on when it sleeps, and what its neighbours ring.
//
// An eventfd, so that a host can also wait for it in an event loop of its own. Created before the fork, used
// by any process and any thread afterwards; rings are remembered until a process waits, several count as one.
#pragma once

#include <chrono>

namespace sluice::ipc {

class Doorbell {
 public:
  Doorbell();  // Throws Error when the process has no descriptor left.
  // In a process that was executed, the one that has been made under this number.
  explicit Doorbell(int fd) noexcept : fd_{fd} {}
  ~Doorbell();
  Doorbell(Doorbell&& other) noexcept : fd_{other.fd_} { other.fd_ = -1; }
  Doorbell(const Doorbell&) = delete;
  Doorbell& operator=(const Doorbell&) = delete;
  Doorbell& operator=(Doorbell&&) = delete;

  // Wakes the process that waits, or the next that does. One system call; does not block.
  void ring() const noexcept;
  // Blocks until it rings or `limit`, 0 or more, has passed, whatever signals are handled meanwhile; true
  // when it rang, and the rings are taken. Threads that wait at the same time may all be told of one ring.
  bool wait(std::chrono::nanoseconds limit) const noexcept;
  // In a child that has nothing to do with the pipeline: closes its copy. Call nothing else afterwards.
  void let_go() noexcept;
  // For poll and epoll; readable when it has rung.
  int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

}  // namespace sluice::ipc
