// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <system_error>
#include <unistd.h>

#include <sluice/detail/scheduling.hpp>

namespace sluice::detail {
namespace {

constexpr std::uint64_t kShortSliceNs = 100'000;  // The shortest that the kernel takes.
constexpr std::uint64_t kSharedSliceNs = 300'000;
constexpr int kHurriedNice = -15;

// Of this process or the ancestor that hurried first; the others inherit its priority and this.
int nice_before = 0;
bool hurried = false;

bool set(pid_t thread, int policy, int nice, std::uint64_t slice_ns) noexcept {
  SchedulingAttributes attributes;
  attributes.policy = static_cast<std::uint32_t>(policy);
  attributes.nice = nice;
  attributes.runtime_ns = slice_ns;
  return ::syscall(SYS_sched_setattr, thread, &attributes, 0) == 0;
}

}  // namespace

void hurry() noexcept {
  // A user who runs the host under a policy of its own has reasons, and the children inherit it.
  if (::sched_getscheduler(0) != SCHED_OTHER) return;
  if (!hurried) nice_before = ::getpriority(PRIO_PROCESS, 0);
  hurried = true;
  if (!set(0, SCHED_OTHER, kHurriedNice, kShortSliceNs)) set(0, SCHED_OTHER, nice_before, kShortSliceNs);
}

void wake_early() noexcept {
  if (::sched_getscheduler(0) != SCHED_OTHER) return;
  set(0, SCHED_OTHER, ::getpriority(PRIO_PROCESS, 0), kShortSliceNs);
}

void take_ease(Sharing sharing) noexcept {
  const std::uint64_t slice_ns = sharing == Sharing::alone ? 0 : kSharedSliceNs;
  const int policy = sharing == Sharing::in_turns ? SCHED_BATCH : SCHED_OTHER;
  if (::sched_getscheduler(0) != SCHED_OTHER) return;
  const int nice = hurried ? nice_before : ::getpriority(PRIO_PROCESS, 0);
  set(0, policy, nice, slice_ns);
  // It asks for nothing, and is refused to a process with more than one thread. Source: unshare(2).
  if (::unshare(CLONE_THREAD) == 0) return;
  std::error_code error;
  for (const auto& task : std::filesystem::directory_iterator{"/proc/self/task", error}) {
    const auto thread = static_cast<pid_t>(std::strtol(task.path().filename().c_str(), nullptr, 10));
    set(thread, policy, nice, slice_ns);
  }
}

}  // namespace sluice::detail
