// SPDX-License-Identifier: Apache-2.0
#include "sluice/ipc/doorbell.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <ctime>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <sluice/detail/call_remedy.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>

namespace sluice::ipc {

namespace {

// Code that closes descriptors that it does not know, as daemons do, has files of its own under the lowest numbers soon after,
// and a ring is written without a look. Where the limit of open files leaves no room up there, it stays.
int out_of_the_way(int fd) noexcept {
  constexpr int kSeldomReached = 512;
  const int moved = fd < 0 ? -1 : ::fcntl(fd, F_DUPFD_CLOEXEC, kSeldomReached);
  if (moved < 0) return sluice::detail::above_standard(fd);
  ::close(fd);
  return moved;
}

}  // namespace

Doorbell::Doorbell() : fd_{out_of_the_way(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK))} {
  if (fd_ < 0) {
    const int reason = errno;
    throw Error{{"create", "a doorbell", errno_text(), sluice::detail::remedy_for_call(reason, "eventfd2")}};
  }
}

Doorbell::~Doorbell() {
  let_go();
}

void Doorbell::let_go() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void Doorbell::ring() const noexcept {
  const std::uint64_t one = 1;
  // The one way to fail is a counter at its maximum, and that one wakes as well.
  [[maybe_unused]] const ssize_t written = ::write(fd_, &one, sizeof(one));
}

bool Doorbell::wait(std::chrono::nanoseconds limit) const noexcept {
  const auto until = std::chrono::steady_clock::now() + limit;
  pollfd entry{fd_, POLLIN, 0};
  int found = 0;
  do {
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
    const timespec timeout{seconds.count(), (limit - seconds).count()};
    found = ::ppoll(&entry, 1, &timeout, nullptr);
    // A signal that the host handles is no ring; the wait goes on for what is left of it.
    limit = std::max(until - std::chrono::steady_clock::now(), std::chrono::nanoseconds{0});
  } while (found < 0 && errno == EINTR);
  if (found <= 0) return false;
  std::uint64_t rings = 0;
  // Another thread may have been faster with the read; it rang all the same.
  [[maybe_unused]] const ssize_t got = ::read(fd_, &rings, sizeof(rings));
  return true;
}

}  // namespace sluice::ipc
