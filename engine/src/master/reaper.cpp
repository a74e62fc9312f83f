// SPDX-License-Identifier: Apache-2.0
#include "master/reaper.hpp"

#include <ctime>
#include <sys/wait.h>

namespace sluice::detail {
namespace {

enum class Try { reaped, held, not_ours };

Try try_to_reap(const Descriptor& pidfd, siginfo_t& info, int how = WEXITED) noexcept {
  info = {};
  const int result =
      ::waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(pidfd.get()), &info, how | WNOHANG);
  if (result != 0) return Try::not_ours;
  return info.si_pid != 0 ? Try::reaped : Try::held;
}

}  // namespace

std::optional<siginfo_t> Reaper::status_of(const Descriptor& pidfd) noexcept {
  // A stack dumper holds the process that was killed meanwhile, and lets go at once.
  constexpr int kTries = 30;
  constexpr timespec kPause{0, 100'000};
  siginfo_t info{};
  for (int i = 0; i < kTries; ++i) {
    const Try result = try_to_reap(pidfd, info, WEXITED | WNOWAIT);
    if (result == Try::reaped) return info;
    if (result == Try::not_ours) return std::nullopt;
    ::nanosleep(&kPause, nullptr);
  }
  return std::nullopt;
}

void Reaper::reap(Descriptor pidfd) {
  siginfo_t info{};
  if (try_to_reap(pidfd, info) == Try::held) held_.push_back(std::move(pidfd));
}

void Reaper::reap_late() noexcept {
  std::erase_if(held_, [](const Descriptor& pidfd) {
    siginfo_t info{};
    return try_to_reap(pidfd, info) != Try::held;
  });
}

}  // namespace sluice::detail
