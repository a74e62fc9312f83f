// SPDX-License-Identifier: Apache-2.0
#include "log/log_channel.hpp"

#include <cerrno>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sluice/detail/call_remedy.hpp>
#include <sluice/detail/clock.hpp>
#include <sluice/detail/journal.hpp>
#include <sluice/detail/try_sockets.hpp>
#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

[[noreturn]] void refuse(std::string_view call) {
  const int reason = errno;
  throw Error{{"create", "the log of a pipeline", errno_text(), remedy_for_call(reason, call)}};
}

}  // namespace

LogChannel LogChannel::open(int to) {
  LogChannel channel;
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) refuse("socketpair");
  channel.receiving_ = Descriptor{ends[0]};
  channel.sending_ = Descriptor{ends[1]};
  // A line that cannot be sent later would be lost without a word.
  const std::string_view refused = refused_call_of_sockets(channel.sending_.get(), channel.receiving_.get());
  if (!refused.empty()) refuse(refused);
  if (::pipe2(ends, O_CLOEXEC) != 0) refuse("pipe2");
  channel.done_reading_ = Descriptor{ends[0]};
  channel.done_writing_ = Descriptor{ends[1]};
  channel.turn_ = Descriptor{::memfd_create("sluice-log-turn", MFD_CLOEXEC)};
  if (!channel.turn_) refuse("memfd_create");
  if (to < 0 || (::fcntl(to, F_GETFD) < 0 && errno == EBADF))
    return channel;  // Closed: nobody is to hear of it.
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

}  // namespace sluice::detail
