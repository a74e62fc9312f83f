// SPDX-License-Identifier: Apache-2.0
// What a program tells the service manager that started it (systemd, Type=notify): that it is at work, that it comes to an end, and, as long as it does, that it is alive. Source: sd_notify(3), whose protocol is a datagram to the
// socket that $NOTIFY_SOCKET names. Without that variable nothing happens. In the host, by one thread.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

class ServiceManager {
 public:
  // Reads the environment. A manager that cannot be reached is told to standard error, once, and the program runs.
  ServiceManager();

  // From now on children are not asked for anything: what they say would be taken for this process's word. Before there is a
  // second thread.
  static void keep_from_children();

  // It is at work. `status` is for people, one line.
  void ready(std::string_view status);
  void stopping();
  // Call it again and again while all is well: tells the manager's watchdog so, twice as often as it asks for.
  void alive();
  // How often at least; zero: the manager has no watchdog.
  std::chrono::nanoseconds watchdog() const noexcept { return watchdog_ / 2; }

 private:
  void tell(const std::string& text);
  // Whether it was sent; errno says why not.
  bool send(const std::string& text) const;

  Descriptor socket_;
  std::string path_;
  std::chrono::nanoseconds watchdog_{0};
  std::chrono::nanoseconds next_{0};
  bool stopping_ = false;
};

}  // namespace sluice::detail
