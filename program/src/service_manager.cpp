// SPDX-License-Identifier: Apache-2.0
#include "service_manager.hpp"

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/detail/journal.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>

namespace sluice::detail {
namespace {

constexpr const char* kAlive = "WATCHDOG=1";

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// The watchdog that the manager has for this process; zero for none. It is named by its pid, since children inherit the
// variables.
std::chrono::nanoseconds watchdog_asked_for() {
  const std::string pid = variable("WATCHDOG_PID");
  if (!pid.empty() && pid != std::to_string(::getpid())) return {};
  // Longer than any that is meant, and nanoseconds hold it.
  constexpr long long kLongest = 1'000'000'000'000;
  return std::chrono::microseconds{
      std::min(std::strtoll(variable("WATCHDOG_USEC").c_str(), nullptr, 10), kLongest)};
}

}  // namespace

ServiceManager::ServiceManager() : path_{variable("NOTIFY_SOCKET")} {
  if (path_.empty()) return;
  socket_ = Descriptor{::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  // A manager that does not read is not waited for.
  const timeval limit{1, 0};
  ::setsockopt(socket_.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  watchdog_ = watchdog_asked_for();
}

void ServiceManager::tell(const std::string& text) {
  // It does not read for the moment: what it is told again and again it may miss once, and nobody waits for it.
  if (!socket_ || send(text) || (errno == EAGAIN && text == kAlive)) return;
  say(Priority::warning, fmt::format("remark: the service manager at {} cannot be told: {}\n",
                                     printable(path_), errno_text(errno)));
  socket_.reset();
}

bool ServiceManager::send(const std::string& text) const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const bool is_abstract = path_.starts_with('@');
  // A path ends with a zero, an abstract name with its length.
  if (path_.size() > sizeof(address.sun_path) - (is_abstract ? 0 : 1)) {
    errno = ENAMETOOLONG;
    return false;
  }
  path_.copy(address.sun_path, sizeof(address.sun_path));
  // A name of the abstract kind begins with a zero, for which a variable has an '@'.
  if (is_abstract) address.sun_path[0] = '\0';
  const auto bytes = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path_.size());
  const int flags = MSG_NOSIGNAL | (text == kAlive ? MSG_DONTWAIT : 0);
  // A signal that asks for the end is none of the manager's faults.
  constexpr int kMostTries = 8;
  for (int tries = 0; tries < kMostTries; ++tries) {
    if (::sendto(socket_.get(), text.data(), text.size(), flags, reinterpret_cast<const sockaddr*>(&address),
                 bytes) >= 0)
      return true;
    if (errno != EINTR) break;
  }
  return false;
}

void ServiceManager::keep_from_children() {
  for (const char* name : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"})
    ::unsetenv(name);
}

void ServiceManager::ready(std::string_view status) {
  tell(fmt::format("READY=1\nSTATUS={}", printable(status)));
  next_ = monotonic_now();
}

void ServiceManager::stopping() {
  if (stopping_) return;
  stopping_ = true;
  tell("STOPPING=1\nSTATUS=comes to its end");
}

void ServiceManager::alive() {
  if (watchdog_.count() <= 0 || monotonic_now() < next_) return;
  next_ = monotonic_now() + watchdog();
  tell(kAlive);
}

}  // namespace sluice::detail
