// SPDX-License-Identifier: Apache-2.0
// What the master waits for. Each descriptor shows as a number: that of a worker for its pidfd, or one of
// those below.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>
#include <sys/epoll.h>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

inline constexpr std::uint64_t kBellEvent = ~std::uint64_t{0};
inline constexpr std::uint64_t kHostEvent = ~std::uint64_t{1};
inline constexpr std::uint64_t kSupervisorEvent = ~std::uint64_t{2};
inline constexpr std::uint64_t kStandbyEvent = ~std::uint64_t{3};
inline constexpr std::uint64_t kDumperEvent = ~std::uint64_t{4};
inline constexpr std::uint64_t kObserverEvent = ~std::uint64_t{5};
inline constexpr std::uint64_t kCheckpointEvent = ~std::uint64_t{6};

class Epoll {
 public:
  // Before all others. False with errno set.
  bool open() noexcept;
  int fd() const noexcept { return epoll_.get(); }

  // False with errno set.
  bool add(int fd, std::uint64_t event) const noexcept;
  bool change(int fd, std::uint64_t event) const noexcept;
  // To close a descriptor is not enough: the workers inherit its description, and it would be reported for
  // good.
  void remove(int fd) const noexcept;

  // In a process that inherits it and waits for nothing.
  void let_go() noexcept { epoll_.reset(); }

  // Blocks until something shows or `limit` has passed. How many of `events` are filled.
  std::size_t wait(std::span<epoll_event> events, std::chrono::nanoseconds limit) const noexcept;

 private:
  Descriptor epoll_;
};

}  // namespace sluice::detail
