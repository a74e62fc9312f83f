// SPDX-License-Identifier: Apache-2.0
// Connections: all connections of one listening socket, by one epoll descriptor, and whose turn it is. Knows neither the
// engine nor what the bytes mean.
//
// The kernel tells of changes only (edge-triggered), so that what is ready stands in a queue of our own: who has had a turn
// goes to its end. So each ready connection has one turn in each round, however many are ready and whatever they send.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sluice/connect/frame.hpp>
#include <sluice/detail/descriptor.hpp>

#include "frame_reader.hpp"

namespace sluice::detail {

struct ConnectionId {
  std::uint32_t slot = 0;
  std::uint32_t generation = 0;  // Of the slot: another connection may have it by now.
};

struct Connection {
  enum class Phase {
    greeting,  // Has to say hello.
    open,
    leaving,  // Has been told why; what it still sends is thrown away, so that the word reaches it before the end.
  };

  ConnectionId id;
  Descriptor fd;
  FrameReader reader;
  FrameHead head;  // Of its frames.
  Phase phase = Phase::open;
  bool readable = true;
  bool writable = true;
  bool ended = false;   // It sends no more.
  bool broken = false;  // It neither sends nor receives.
  bool queued = false;
  bool dirty = false;        // In StreamServer's list of those who await a commit.
  bool owes_at = false;      // Its count at its hello has not been told,
  bool at_is_safe = false;   // and may be.
  std::uint64_t at = 0;      // That count.
  std::uint64_t pushed = 0;  // Frames of the sender that were pushed, are safe, and told as such.
  std::uint64_t safe = 0;
  std::uint64_t told = 0;
  std::string unsent;  // The rest of a line.
  std::chrono::steady_clock::time_point heard;
};

class Connections {
 public:
  using Clock = std::chrono::steady_clock;

  struct Limits {
    std::uint32_t connections = 0;
    std::chrono::nanoseconds idle{0};   // 0: none.
    std::chrono::nanoseconds hello{0};  // The same, for a connection that is to say hello.
    std::uint64_t first_number = 1;     // Of connections.
    bool greets = false;                // Each is to say hello first.
  };

  // Raises this process's limit of descriptors. `listener` belongs to the caller. Throws Error.
  Connections(int listener, const Limits& limits);
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  // Readable when look() has something to do.
  int epoll() const noexcept { return epoll_.get(); }
  // How long nothing is to be done, if that is not readable.
  std::chrono::nanoseconds quiet_for() const noexcept;
  // Takes in what the kernel says, closes what has been silent too long. Does not wait.
  void look();

  // The connection whose turn it is, nullptr if none is ready. It is not in the queue then.
  Connection* next() noexcept;
  // To the end of the queue, if it is not in it.
  void queue(Connection& connection);
  // nullptr when it is closed.
  Connection* find(ConnectionId id) noexcept;

  // Reads once. The bytes stay valid until the next read; none: there is nothing now, or the connection has ended.
  std::string_view read(Connection& connection);
  // Sends what is unsent and then the line, as much as the kernel takes now.
  void send(Connection& connection, std::string_view line);
  // Tells it why, and lets it go.
  void dismiss(Connection& connection, std::string_view line);
  // The turn of one that leaves.
  void leave(Connection& connection);
  void close(Connection& connection);
  // All of them, as they are.
  template <class F>
  void for_each(F&& visit) {
    for (const std::unique_ptr<Connection>& connection : slots_) {
      if (connection) visit(*connection);
    }
  }
  // No connection is taken any more, of a TCP socket by any process.
  void stop_listening() noexcept;

  std::size_t count() const noexcept { return count_; }
  // Why connections are turned away, once each time that begins; empty if they are not, or it was told.
  std::string_view take_trouble() noexcept;

 private:
  void accept_some();
  void turn_away();
  void admit(Descriptor fd, const struct SocketAddress& peer);
  void pause_listening(std::chrono::nanoseconds pause);
  void sweep(Clock::time_point now);
  void watch_listener() noexcept;

  int listener_;
  Limits limits_;
  Descriptor epoll_;
  Descriptor spare_;  // What is given up to take a connection and tell it that there are too many.
  std::vector<std::unique_ptr<Connection>> slots_;
  std::vector<std::uint32_t> generations_;
  std::vector<std::uint32_t> free_;
  std::size_t count_ = 0;
  std::deque<ConnectionId> ready_;
  struct Leaving {
    ConnectionId id;
    Clock::time_point until;
  };
  std::deque<Leaving> leaving_;
  std::vector<char> scratch_;
  std::uint64_t next_number_;
  Clock::time_point next_sweep_;
  Clock::time_point listens_again_;
  bool paused_ = false;
  bool listening_ = true;
  bool full_ = false;
  std::string_view trouble_;
};

}  // namespace sluice::detail
