// SPDX-License-Identifier: Apache-2.0
#include "death/memory_events.hpp"

#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <fstream>
#include <string>
#include <string_view>
#include <unistd.h>
#include <utility>

namespace sluice::detail {
namespace {

// The path of this process's cgroup in the hierarchy `controllers`: "" is the one of version 2. Lines are
// "number:controllers:path". Source: cgroups(7).
std::string cgroup_path(std::string_view controllers) {
  std::ifstream file{"/proc/self/cgroup"};
  std::string line;
  while (std::getline(file, line)) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    if (std::string_view{line}.substr(first + 1, second - first - 1) == controllers) {
      return line.substr(second + 1);
    }
  }
  return {};
}

}  // namespace

MemoryEvents::MemoryEvents() {
  const std::string files[] = {"/sys/fs/cgroup" + cgroup_path("") + "/memory.events.local",
                               "/sys/fs/cgroup/memory" + cgroup_path("memory") + "/memory.oom_control"};
  for (const std::string& path : files) {
    file_ = Descriptor{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (file_.get() >= 0) break;
  }
  seen_ = read_count();
}

bool MemoryEvents::somebody_was_killed() noexcept {
  const std::uint64_t now = read_count();
  return std::exchange(seen_, now) != now;
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
