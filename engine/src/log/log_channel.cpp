// SPDX-License-Identifier: Apache-2.0
#include "log/log_channel.hpp"

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sluice/detail/clock.hpp>
#include <sluice/detail/inherited.hpp>
#include <sluice/error.hpp>

#include "log/log_line.hpp"

namespace sluice::detail {
namespace {

// Source: systemd.exec(5), $JOURNAL_STREAM: device and inode of what the journal reads.
bool is_journal(int to) noexcept {
  const char* const stream = std::getenv("JOURNAL_STREAM");
  struct stat status {};
  unsigned long long device = 0;
  unsigned long long inode = 0;
  return stream != nullptr && std::sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
         ::fstat(to, &status) == 0 && status.st_dev == device && status.st_ino == inode;
}

[[noreturn]] void refuse() {
  throw Error{{"create", "the log of a pipeline", errno_text(), "raise the limit of open files (ulimit -n)"}};
}

// Waits until `to` takes something. False when it takes nothing, and the parent is dead: then there is no pipeline any
// more, or a log writer that comes after this one.
bool await_room(int to, const Descriptor& parent) noexcept {
  constexpr int kLast = 1000;  // Milliseconds: no process is left behind for one that never reads.
  std::array<pollfd, 2> events{pollfd{to, POLLOUT, 0}, pollfd{parent.get(), POLLIN, 0}};
  while (::poll(events.data(), events.size(), -1) < 0) {
    if (errno != EINTR) return false;
  }
  if (events[0].revents != 0) return true;
  return ::poll(events.data(), 1, kLast) == 1;
}

// Whether the line is done with. One that cannot be written, to a pipe that is closed or a disk that is full, is given
// up: there is nobody to tell.
bool write_line(int to, std::string_view line, const Descriptor& parent) noexcept {
  while (to >= 0 && !line.empty()) {
    if (!await_room(to, parent)) return false;
    const ssize_t written = ::write(to, line.data(), line.size());
    if (written < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    // A host that had a pipe of its own for the log is dead.
    if (written < 0 && errno == EPIPE && to != STDERR_FILENO) return write_line(STDERR_FILENO, line, parent);
    if (written <= 0) return true;
    line.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

}  // namespace

LogChannel LogChannel::open(int to) {
  LogChannel channel;
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) refuse();
  channel.receiving_ = Descriptor{ends[0]};
  channel.sending_ = Descriptor{ends[1]};
  if (::pipe2(ends, O_CLOEXEC) != 0) refuse();
  channel.done_reading_ = Descriptor{ends[0]};
  channel.done_writing_ = Descriptor{ends[1]};
  channel.turn_ = Descriptor{::memfd_create("sluice-log-turn", MFD_CLOEXEC)};
  if (!channel.turn_) refuse();
  if (to < 0 || ::fcntl(to, F_GETFD) < 0) return channel;  // Closed: nobody is to hear of it.
  channel.to_ = to;
  channel.to_journal_ = is_journal(to);
  return channel;
}

bool LogChannel::send(std::string_view line) const noexcept {
  return ::send(sending_.get(), line.data(), line.size(), MSG_DONTWAIT | MSG_NOSIGNAL) ==
         static_cast<ssize_t>(line.size());
}

std::vector<int> LogChannel::descriptors() const {
  return {sending_.get(), receiving_.get(), done_reading_.get(), done_writing_.get(), turn_.get(), to_};
}

void LogChannel::let_go() noexcept {
  sending_.reset();
  receiving_.reset();
  done_reading_.reset();
  done_writing_.reset();
  turn_.reset();
}

void LogChannel::only_await() noexcept {
  sending_.reset();
  receiving_.reset();
  done_writing_.reset();
  turn_.reset();
}

void LogChannel::await_end(std::chrono::milliseconds limit) const noexcept {
  if (!done_reading_) return;
  pollfd entry{done_reading_.get(), 0, 0};
  const auto until = monotonic_now() + limit;
  for (auto left = limit; left.count() >= 0;
       left = std::chrono::duration_cast<std::chrono::milliseconds>(until - monotonic_now())) {
    if (::poll(&entry, 1, static_cast<int>(left.count())) >= 0 || errno != EINTR) return;
  }
}

// Whether this process is the one that writes now.
bool LogChannel::await_turn(const Descriptor& parent) const noexcept {
  constexpr int kLook =
      10;  // Milliseconds. A lock that is waited for in the kernel would not look at the parent.
  struct flock whole {};
  whole.l_type = F_WRLCK;
  whole.l_whence = SEEK_SET;
  // Of the process, and so free once it is dead, whoever else has the file open. Source: fcntl(2), F_SETLK.
  while (::fcntl(turn_.get(), F_SETLK, &whole) != 0) {
    if (errno != EAGAIN && errno != EACCES && errno != EINTR) return false;
    pollfd death{parent.get(), POLLIN, 0};
    if (::poll(&death, 1, kLook) == 1) return false;
  }
  return true;
}

void LogChannel::write_out(const Descriptor& parent) noexcept {
  sending_.reset();
  close_all_but({receiving_.get(), done_writing_.get(), turn_.get(), to_, parent.get()});
  if (!await_turn(parent)) return;
  std::array<char, kMostLogBytes> line;
  while (true) {
    std::array<pollfd, 2> events{pollfd{receiving_.get(), POLLIN, 0}, pollfd{parent.get(), POLLIN, 0}};
    if (::poll(events.data(), events.size(), -1) < 0 && errno != EINTR) return;
    const ssize_t bytes = ::recv(receiving_.get(), line.data(), line.size(), MSG_PEEK | MSG_DONTWAIT);
    if (bytes > 0) {
      if (!write_line(to_, {line.data(), static_cast<std::size_t>(bytes)}, parent)) return;
      ::recv(receiving_.get(), line.data(), line.size(), MSG_DONTWAIT);
    } else if (bytes == 0 || (errno != EAGAIN && errno != EINTR)) {
      return;  // No process is left that could send.
    } else if (events[1].revents != 0) {
      return;
    }
  }
}

}  // namespace sluice::detail
