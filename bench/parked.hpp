// SPDX-License-Identifier: Apache-2.0
// Ways to hand 64 bytes to a process that sleeps, and to sleep until 64 bytes come: lanes with doorbells, and
// the bare things that the kernel has for it. Each gives send() and receive() for either side; receive() is
// false when nothing came in time.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <ctime>
#include <linux/futex.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>

#include <sluice/ipc/waiting.hpp>

#include "channel.hpp"
#include "shared.hpp"

namespace sluice::bench {

struct Line {
  std::uint64_t number = 0;
  std::uint64_t rest[7] = {};
};
static_assert(sizeof(Line) == 64);

// Side 0 sends in channel 0 and receives from channel 1; side 1 the other way round.
class ParkedLane {
 public:
  class Side {
   public:
    Side(ParkedLane& shared, std::size_t side)
        : shared_{shared},
          side_{side},
          out_{shared.memories_.lane(side)},
          in_{shared.memories_.lane(1 - side)} {}
    void send(std::uint64_t number) noexcept {
      const Line line{number, {}};
      std::memcpy(out_.reserve(sizeof(line)), &line, sizeof(line));
      out_.advance(sizeof(line));
      out_.publish();
      if (ipc::Published{}.sleeps((*shared_.controls_)[1 - side_])) shared_.bells_[1 - side_].ring();
    }
    bool receive(std::uint64_t& number) noexcept {
      // As a worker in a shared place waits: asleep at once.
      const ipc::WaitPolicy policy{};
      const auto ready = [this] { return in_.readable() != 0; };
      // A ring may be for nothing: of an event that was seen before this side slept. Then it waits again, as a worker does.
      const auto give_up = std::chrono::steady_clock::now() + policy.bound;
      while (ipc::wait(policy, (*shared_.controls_)[side_], shared_.bells_[side_], ready) ==
             ipc::Woken::bound) {
        if (std::chrono::steady_clock::now() > give_up) return false;
      }
      std::memcpy(&number, in_.data(), sizeof(number));
      in_.advance(sizeof(Line));
      in_.publish();
      return true;
    }

   private:
    ParkedLane& shared_;
    std::size_t side_;
    ipc::LaneProducer out_;
    ipc::LaneConsumer in_;
  };

 private:
  friend class Side;
  LaneMemories memories_{Room{.ring_bytes = 4096}};
  Shared<std::array<ipc::Control, 2>> controls_;
  std::array<ipc::Doorbell, 2> bells_;
};

// Two cache lines, and an eventfd for each that is always read and always written: nobody asks who sleeps.
class ParkedEventfd {
 public:
  ParkedEventfd() : fds_{::eventfd(0, EFD_CLOEXEC), ::eventfd(0, EFD_CLOEXEC)} {}
  ~ParkedEventfd() {
    for (const int fd : fds_)
      ::close(fd);
  }
  ParkedEventfd(const ParkedEventfd&) = delete;
  ParkedEventfd& operator=(const ParkedEventfd&) = delete;

  class Side {
   public:
    Side(ParkedEventfd& shared, std::size_t side) : shared_{shared}, side_{side} {}
    void send(std::uint64_t number) noexcept {
      (*shared_.lines_)[side_] = Line{number, {}};
      const std::uint64_t one = 1;
      [[maybe_unused]] const ssize_t written = ::write(shared_.fds_[1 - side_], &one, sizeof(one));
    }
    bool receive(std::uint64_t& number) noexcept {
      std::uint64_t rings = 0;
      if (::read(shared_.fds_[side_], &rings, sizeof(rings)) != sizeof(rings)) return false;
      number = (*shared_.lines_)[1 - side_].number;
      return true;
    }

   private:
    ParkedEventfd& shared_;
    std::size_t side_;
  };

 private:
  friend class Side;
  Shared<std::array<Line, 2>> lines_;
  std::array<int, 2> fds_;
};

// Two cache lines whose first word is waited for by futex.
class ParkedFutex {
 public:
  class Side {
   public:
    Side(ParkedFutex& shared, std::size_t side) : shared_{shared}, side_{side} {}
    void send(std::uint64_t number) noexcept {
      Word& word = (*shared_.words_)[side_];
      word.number = number;
      // [parked.futex] release: the number before the turn; pairs with receive().
      word.turn.fetch_add(1, std::memory_order_release);
      ::syscall(SYS_futex, &word.turn, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
    }
    bool receive(std::uint64_t& number) noexcept {
      Word& word = (*shared_.words_)[1 - side_];
      const timespec limit{1, 0};
      // [parked.futex] acquire: pairs with send().
      while (word.turn.load(std::memory_order_acquire) == seen_) {
        if (::syscall(SYS_futex, &word.turn, FUTEX_WAIT, seen_, &limit, nullptr, 0) != 0 &&
            errno == ETIMEDOUT)
          return false;
      }
      ++seen_;
      number = word.number;
      return true;
    }

   private:
    ParkedFutex& shared_;
    std::size_t side_;
    std::uint32_t seen_ = 0;
  };

 private:
  friend class Side;
  struct alignas(128) Word {
    std::atomic<std::uint32_t> turn{0};
    std::uint64_t number = 0;
  };
  Shared<std::array<Word, 2>> words_;
};

}  // namespace sluice::bench
