// SPDX-License-Identifier: Apache-2.0
// Two processes and a pipe in each direction, as Unix has them. A write of at most PIPE_BUF bytes is made whole or not.
#pragma once

#include <array>
#include <fcntl.h>
#include <stdexcept>
#include <unistd.h>

#include <climits>

#include "peer.hpp"
#include "user/exchange.hpp"

namespace sluice::bench {

class Pipe {
 public:
  explicit Pipe(int flags) {
    if (::pipe2(ends_.data(), O_CLOEXEC | flags) != 0) throw std::runtime_error{"a pipe cannot be made"};
  }
  ~Pipe() {
    ::close(ends_[0]);
    ::close(ends_[1]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int reads() const noexcept { return ends_[0]; }
  int writes() const noexcept { return ends_[1]; }

 private:
  std::array<int, 2> ends_{};
};

template <class Event>
class PipeSide {
 public:
  static_assert(sizeof(Event) * kMostAtOnce <= PIPE_BUF);
  PipeSide(int writes, int reads) noexcept : writes_{writes}, reads_{reads} {}

  std::size_t push(std::span<const Event> events) noexcept {
    const ssize_t wrote = ::write(writes_, events.data(), events.size_bytes());
    return wrote < 0 ? 0 : static_cast<std::size_t>(wrote) / sizeof(Event);
  }
  template <class Take>
  std::size_t poll(Take&& take) {
    const ssize_t got = ::read(reads_, block_.data(), sizeof(block_));
    if (got <= 0) return 0;
    const std::size_t count = static_cast<std::size_t>(got) / sizeof(Event);
    for (std::size_t i = 0; i < count; ++i)
      take(block_[i]);
    return count;
  }

 private:
  int writes_;
  int reads_;
  std::array<Event, kMostAtOnce> block_{};
};

// The near side's descriptors do not block, the worker's do.
template <class Event, class Work>
int between_processes(std::uint64_t events, Work&& work) {
  const Pipe there{0};
  const Pipe back{0};
  const auto worker = [&] {
    PipeSide<Event> side{back.writes(), there.reads()};
    std::array<Event, kMostAtOnce> block;
    for (std::uint64_t passed = 0; passed < events;) {
      std::size_t count = 0;
      if (side.poll([&](const Event& event) { block[count++] = event; }) == 0) return;
      if (side.push({block.data(), count}) != count) return;
      passed += count;
    }
  };
  pin(0);
  const Peer peer{Apart::processes, 1, worker};
  // Of this side alone: the open files of a pipe's two ends are two.
  for (const int fd : {there.writes(), back.reads()})
    if (::fcntl(fd, F_SETFL, O_NONBLOCK) != 0) return 1;
  PipeSide<Event> side{there.writes(), back.reads()};
  work(side);
  return 0;
}

template <class Event>
int push_poll_by_pipes(const Traffic& traffic) {
  return between_processes<Event>(traffic.events,
                                  [&traffic](auto& side) { there_and_back<Event>(side, traffic); });
}

template <class Event>
int round_trips_by_pipes(std::uint64_t events, Histogram& times) {
  return between_processes<Event>(events, [&](auto& side) { round_trips<Event>(side, events, times); });
}

}  // namespace sluice::bench
