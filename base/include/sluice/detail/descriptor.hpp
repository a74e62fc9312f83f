// SPDX-License-Identifier: Apache-2.0
// A file descriptor that is closed with its owner, and the one kind that stands for a process.
#pragma once

#include <chrono>
#include <cstdint>
#include <sys/types.h>

namespace sluice::detail {

// `fd`, or in its place, when it is one of the three standard descriptors, a copy that is none: a program that was
// started with one of them closed would write its messages into whatever got the number. -1, with errno set, when
// there is none to be had. Negative ones are given back as they are, and so is errno.
int above_standard(int fd) noexcept;

class Descriptor {
 public:
  Descriptor() = default;
  // Never one of the standard descriptors: above_standard().
  explicit Descriptor(int fd) noexcept : fd_{above_standard(fd)} {}
  Descriptor(Descriptor&& other) noexcept : fd_{other.fd_} { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept {
    if (this != &other) {
      reset();
      fd_ = other.fd_;
      other.fd_ = -1;
    }
    return *this;
  }
  ~Descriptor() { reset(); }
  void reset() noexcept;
  // It is the caller's from now on.
  int release() noexcept {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// The pidfd of a process; throws Error.
Descriptor open_pidfd(pid_t pid);
// A number that no other process of this machine has, before or after: a pid comes again, this does not. 0
// for a process that is gone and reaped. Throws Error when it cannot be told.
std::uint64_t identity_of(const Descriptor& pidfd, pid_t pid);
// The pidfd of the process that has this pid and this identity; holds nothing when it is gone, also if
// another process has its pid now. Throws Error when that cannot be told.
Descriptor find_process(pid_t pid, std::uint64_t identity);

// Sends a signal to the process behind a pidfd; false when it is gone.
bool send_signal(const Descriptor& pidfd, int signal) noexcept;
// Waits until the process behind a pidfd has died, reaped or not; whether it has. A limit of 0 or less: looks once.
bool await_death(const Descriptor& pidfd, std::chrono::milliseconds limit) noexcept;

}  // namespace sluice::detail
