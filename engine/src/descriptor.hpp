// A file descriptor that is closed with its owner, and the one kind that stands for a process.
#pragma once

#include <sys/types.h>

namespace sluice {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) noexcept : fd_{fd} {}
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
  int get() const noexcept { return fd_; }

 private:
  int fd_ = -1;
};

// The pidfd of a process; throws Error.
Descriptor open_pidfd(pid_t pid);

// Sends a signal to the process behind a pidfd; false when it is gone.
bool send_signal(const Descriptor& pidfd, int signal) noexcept;

}  // namespace sluice
