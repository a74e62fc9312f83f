// SPDX-License-Identifier: Apache-2.0
#include "master/lifeline.hpp"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <sluice/detail/call_remedy.hpp>
#include <sluice/error.hpp>

namespace sluice::detail {

Lifeline::Lifeline() {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) {
    const int reason = errno;
    throw Error{{"create", "the lifeline of a pipeline", errno_text(), remedy_for_call(reason, "pipe2")}};
  }
  reading_ = Descriptor{ends[0]};
  writing_ = Descriptor{ends[1]};
}

bool Lifeline::bind_this_process() noexcept {
  writing_.reset();
  // Who is signalled is a property of the open file, so each process opens the pipe anew. Source: fcntl(2),
  // F_SETSIG: SIGIO, or the signal that is set instead, is sent when the last writer closes.
  char path[32];
  std::snprintf(path, sizeof(path), "/proc/self/fd/%d", reading_.get());
  Descriptor own{::open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)};
  if (own.get() < 0) return false;
  if (::fcntl(own.get(), F_SETOWN, ::getpid()) != 0 || ::fcntl(own.get(), F_SETSIG, SIGKILL) != 0 ||
      ::fcntl(own.get(), F_SETFL, O_NONBLOCK | O_ASYNC) != 0) {
    return false;
  }
  reading_ = std::move(own);
  return !cut();
}

bool Lifeline::cut() const noexcept {
  return await_cut(std::chrono::milliseconds{0});
}

bool Lifeline::closed_here() const noexcept {
  return ::fcntl(reading_.get(), F_GETFD) < 0 && errno == EBADF;
}

bool Lifeline::await_cut(std::chrono::milliseconds limit) const noexcept {
  pollfd entry{reading_.get(), 0, 0};
  return ::poll(&entry, 1, static_cast<int>(limit.count())) == 1 && (entry.revents & POLLHUP) != 0;
}

}  // namespace sluice::detail
