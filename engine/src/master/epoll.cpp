// SPDX-License-Identifier: Apache-2.0
#include "master/epoll.hpp"

#include <algorithm>
#include <ctime>
#include <poll.h>

namespace sluice::detail {

bool Epoll::open() noexcept {
  epoll_ = Descriptor{::epoll_create1(EPOLL_CLOEXEC)};
  return static_cast<bool>(epoll_);
}

bool Epoll::add(int fd, std::uint64_t event) const noexcept {
  epoll_event entry{EPOLLIN, {.u64 = event}};
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &entry) == 0;
}

bool Epoll::change(int fd, std::uint64_t event) const noexcept {
  epoll_event entry{EPOLLIN, {.u64 = event}};
  return ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &entry) == 0;
}

void Epoll::remove(int fd) const noexcept {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

std::size_t Epoll::wait(std::span<epoll_event> events, std::chrono::nanoseconds limit) const noexcept {
  // Not epoll_pwait2(), which Linux has since 5.11 and older filters of system calls refuse: an epoll instance
  // can be polled itself, by a call that has always known nanoseconds.
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
  const timespec timeout{seconds.count(), (limit - seconds).count()};
  pollfd self{epoll_.get(), POLLIN, 0};
  if (::ppoll(&self, 1, &timeout, nullptr) <= 0) return 0;
  const int count = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), 0);
  return static_cast<std::size_t>(std::max(count, 0));
}

}  // namespace sluice::detail
