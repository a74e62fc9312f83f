// SPDX-License-Identifier: Apache-2.0
// What an inlet or outlet gives a host for an event loop of its own: a descriptor that is readable when there is
// something to do about the end, and arm(), which asks for it.
//
// Used by the thread that uses the end. The descriptor is an epoll of two: the end's doorbell, and the lifeline, since
// no process is left that could ring once supervisor and master are dead.
#pragma once

#include <sluice/detail/descriptor.hpp>
#include <sluice/ipc/control.hpp>
#include <sluice/ipc/doorbell.hpp>
#include <sluice/ipc/waiting.hpp>

#include "layout/wiring.hpp"
#include "master/lifeline.hpp"

namespace sluice::detail {

class EndDescriptor {
 public:
  EndDescriptor(const Wiring& wiring, NodeIndex end) noexcept
      : own_{wiring.end(end).control}, bell_{wiring.end_bell(end)} {}
  EndDescriptor(const EndDescriptor&) = delete;
  EndDescriptor& operator=(const EndDescriptor&) = delete;

  // Made with the first call; throws Error when the process has no descriptor left.
  int fd(const Lifeline& lifeline);
  // As a sleeper falls asleep: says so, then looks. True when `ready`, and nothing is armed then. False: the
  // neighbours have heard it, and ring from now on.
  template <class Ready>
  bool arm(Ready&& ready) {
    disarm();
    const bool heard = ipc::fall_asleep(own_);
    armed_ = true;
    if (!heard) bell_.wait(ipc::kUnheard);
    if (!ready()) return false;
    disarm();
    return true;
  }
  // Takes the rings.
  void disarm() noexcept {
    if (!armed_) return;
    ipc::wake_up(own_);
    bell_.wait(std::chrono::nanoseconds{0});
    armed_ = false;
  }
  // In a child that has nothing to do with the pipeline.
  void let_go() noexcept { epoll_.reset(); }

 private:
  ipc::Control& own_;
  const ipc::Doorbell& bell_;
  Descriptor epoll_;
  bool armed_ = false;
};

}  // namespace sluice::detail
