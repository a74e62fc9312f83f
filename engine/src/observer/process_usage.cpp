// SPDX-License-Identifier: Apache-2.0
#include "observer/process_usage.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <unistd.h>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {
namespace {

// The private memory of the process, what it shares with relatives since their fork by its share. Source: proc(5),
// smaps_rollup; Pss_Anon since Linux 5.4.
std::optional<std::uint64_t> own_bytes(pid_t pid) noexcept {
  char path[48];
  std::snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
  const Descriptor file{::open(path, O_RDONLY | O_CLOEXEC)};
  char text[2048];
  const ssize_t bytes = file ? ::read(file.get(), text, sizeof(text) - 1) : -1;
  if (bytes <= 0) return std::nullopt;
  text[bytes] = '\0';
  constexpr const char* kField = "Pss_Anon:";
  const char* found = std::strstr(text, kField);
  if (found == nullptr) return std::nullopt;
  return std::strtoull(found + std::strlen(kField), nullptr, 10) * 1024;
}

std::optional<std::chrono::nanoseconds> cpu_time(pid_t pid) noexcept {
  clockid_t clock = 0;
  timespec time{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return std::nullopt;
  return std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec};
}

}  // namespace

std::optional<UsageStats> usage_of(pid_t pid, const Descriptor& pidfd) noexcept {
  const auto time = cpu_time(pid);
  const auto memory = own_bytes(pid);
  // A pid belongs to the process until that has died: what was read is of this one.
  if (!time || !memory || await_death(pidfd, std::chrono::milliseconds{0})) return std::nullopt;
  return UsageStats{*time, *memory};
}

std::optional<UsageStats> usage_of(pid_t pid, std::uint64_t identity) noexcept {
  if (pid <= 0) return std::nullopt;
  try {
    const Descriptor pidfd = find_process(pid, identity);
    return pidfd ? usage_of(pid, pidfd) : std::nullopt;
  } catch (...) {
    return std::nullopt;
  }
}

}  // namespace sluice::detail
