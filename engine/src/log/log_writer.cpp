// SPDX-License-Identifier: Apache-2.0
// What the log writer does, behind its fork.
#include <array>
#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <string_view>
#include <sys/socket.h>
#include <unistd.h>

#include <sluice/detail/inherited.hpp>
#include <sluice/detail/process_name.hpp>

#include "log/log_channel.hpp"
#include "log/log_line.hpp"

namespace sluice::detail {
namespace {

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
  // By its name it is known to have no more than it needs.
  set_process_name(kLogWriterName);
  if (!await_turn(parent)) return;
  std::array<char, kMostLogBytes> line;
  while (true) {
    std::array<pollfd, 2> events{pollfd{receiving_.get(), POLLIN, 0}, pollfd{parent.get(), POLLIN, 0}};
    if (::poll(events.data(), events.size(), -1) < 0 && errno != EINTR) return;
    const ssize_t bytes = ::recv(receiving_.get(), line.data(), line.size(), MSG_PEEK | MSG_DONTWAIT);
    if (bytes > 0) {
      if (!write_line(to_, {line.data(), static_cast<std::size_t>(bytes)}, parent)) return;
      ::recv(receiving_.get(), line.data(), line.size(), MSG_DONTWAIT);
      continue;
    }
    const bool none_can_send = bytes == 0 || (errno != EAGAIN && errno != EINTR);
    if (none_can_send || events[1].revents != 0) return;
  }
}

}  // namespace sluice::detail
