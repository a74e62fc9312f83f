// SPDX-License-Identifier: Apache-2.0
#include "host/end_descriptor.hpp"

#include <cerrno>
#include <sys/epoll.h>

#include <sluice/detail/call_remedy.hpp>
#include <sluice/error.hpp>

namespace sluice::detail {

int EndDescriptor::fd(const Lifeline& lifeline) {
  if (epoll_) return epoll_.get();
  Descriptor epoll{above_standard(::epoll_create1(EPOLL_CLOEXEC))};
  epoll_event event{};
  event.events = EPOLLIN;
  const bool made = epoll && ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, bell_.fd(), &event) == 0 &&
                    ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, lifeline.fd(), &event) == 0;
  if (!made) {
    const int reason = errno;
    throw Error{
        {"make", "a descriptor for an inlet or outlet", errno_text(), remedy_for_call(reason, "epoll")}};
  }
  epoll_ = std::move(epoll);
  return epoll_.get();
}

}  // namespace sluice::detail
