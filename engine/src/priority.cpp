#include "priority.hpp"

#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace sluice {
namespace {

// The first version of the kernel's struct sched_attr, which glibc does not declare. Source: sched_setattr(2).
struct SchedulingAttributes {
  std::uint32_t size = sizeof(SchedulingAttributes);
  std::uint32_t policy = SCHED_OTHER;
  std::uint64_t flags = 0;
  std::int32_t nice = 0;
  std::uint32_t priority = 0;
  std::uint64_t runtime_ns = 0;  // For SCHED_OTHER the slice; 0: the system's.
  std::uint64_t deadline_ns = 0;
  std::uint64_t period_ns = 0;
};
static_assert(sizeof(SchedulingAttributes) == 48);

constexpr std::uint64_t kShortSliceNs = 100'000;  // The shortest that the kernel takes.
constexpr int kHurriedNice = -15;

int nice_before = 0;

bool set(int nice, std::uint64_t slice_ns) noexcept {
  SchedulingAttributes attributes;
  attributes.nice = nice;
  attributes.runtime_ns = slice_ns;
  return ::syscall(SYS_sched_setattr, 0, &attributes, 0) == 0;
}

}  // namespace

void hurry() noexcept {
  // Whoever runs the host under a policy of its own has reasons, and the children inherit it.
  if (::sched_getscheduler(0) != SCHED_OTHER) return;
  nice_before = ::getpriority(PRIO_PROCESS, 0);
  if (!set(kHurriedNice, kShortSliceNs)) set(nice_before, kShortSliceNs);
}

void take_ease() noexcept {
  if (::sched_getscheduler(0) == SCHED_OTHER) set(nice_before, 0);
}

}  // namespace sluice
