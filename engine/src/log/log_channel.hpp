// SPDX-License-Identifier: Apache-2.0
// The way of a line of the log from the master to standard error, on which neither can hold up the other.
//
//     master, supervisor  --send()-->  a socket that keeps some hundred lines  -->  the log writer  -->  standard error
//
// Who writes to a terminal, a pipe or a file may have to wait for it as long as it likes: that is the log writer, a
// process that nothing waits for. The master never waits: a line for which the socket has no room is not sent, and is
// counted. The socket is the kernel's, so that lines in it survive all who have sent them. The log writer takes a
// line out of it only after it has written it, so that one that is killed loses none: the next writes it, perhaps for
// the second time. Of two at once the second waits at a lock until the first is gone.
//
// It ends when no process holds the sending end any more, and all is written; `done` tells the host of it.
#pragma once

#include <chrono>
#include <string_view>
#include <vector>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

class LogChannel {
 public:
  // None: log.level is off.
  LogChannel() = default;
  // To the open file `to`, which stays the caller's; -1 for nowhere. Throws Error when there is no descriptor to be had.
  static LogChannel open(int to);

  bool is_open() const noexcept { return static_cast<bool>(sending_); }
  // It goes to systemd's journal, as the environment of the host says.
  bool to_journal() const noexcept { return to_journal_; }
  // False when it could not be sent without waiting. Does not block.
  bool send(std::string_view line) const noexcept;

  // All that it holds, for a process that closes all but what it knows.
  std::vector<int> descriptors() const;
  // The process has nothing to do with it.
  void let_go() noexcept;
  // The host, once all is forked: sends nothing, and waits for the end.
  void only_await() noexcept;
  // Until all is written and the last log writer gone, not longer than `limit`.
  void await_end(std::chrono::milliseconds limit) const noexcept;

  // In the log writer: closes everything else that this process has, and writes until the end. When `parent` is dead it
  // writes what there is, and leaves the rest to its successor.
  void write_out(const Descriptor& parent) noexcept;

 private:
  bool await_turn(const Descriptor& parent) const noexcept;

  Descriptor sending_;
  Descriptor receiving_;
  Descriptor done_reading_;
  Descriptor done_writing_;
  Descriptor turn_;  // Locked by the one that writes.
  int to_ = -1;
  bool to_journal_ = false;
};

}  // namespace sluice::detail
