// SPDX-License-Identifier: Apache-2.0
#include "death/memory_events.hpp"

#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>
#include <utility>

#include <sluice/detail/cgroup.hpp>

namespace sluice::detail {

MemoryEvents::MemoryEvents() {
  // The group's own count, not that of the groups below it.
  for (const Cgroup& group : cgroups_of_this_process("memory")) {
    const auto path = group.directory / (group.version_2 ? "memory.events.local" : "memory.oom_control");
    if (Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)}) file_ = std::move(file);
  }
  seen_ = read_count();
}

MemoryEvents::MemoryEvents(Descriptor file) : file_{std::move(file)}, seen_{read_count()} {}

void MemoryEvents::look(std::chrono::nanoseconds now) noexcept {
  const std::uint64_t count = read_count();
  if (count == seen_) return;
  unexplained_ += count - seen_;
  seen_ = count;
  last_kill_ = now;
}

bool MemoryEvents::explains_a_kill(std::chrono::nanoseconds born, std::chrono::nanoseconds now) noexcept {
  look(now);
  if (unexplained_ == 0) return false;
  if (last_kill_ < born || now - last_kill_ > kLongestDeath) {
    unexplained_ = 0;  // Of other processes of the group.
    return false;
  }
  --unexplained_;
  return true;
}

std::uint64_t MemoryEvents::read_count() const noexcept {
  if (file_.get() < 0) return 0;
  char text[512];
  const ssize_t bytes = ::pread(file_.get(), text, sizeof(text) - 1, 0);
  if (bytes <= 0) return seen_;
  text[bytes] = '\0';
  const char* found = std::strstr(text, "oom_kill ");
  return found == nullptr ? seen_ : std::strtoull(found + std::strlen("oom_kill "), nullptr, 10);
}

}  // namespace sluice::detail
