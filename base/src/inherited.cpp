// SPDX-License-Identifier: Apache-2.0
#include "sluice/detail/inherited.hpp"

#include <algorithm>
#include <cstdlib>
#include <dirent.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sluice/detail/sanitizers.hpp>

namespace sluice::detail {
namespace {

// Since Linux 5.9. A sanitizer of threads keeps books of what is open, by the C library's close().
bool close_range(unsigned first, unsigned last) noexcept {
#if SLUICE_THREAD_SANITIZER
  (void)first;
  (void)last;
  return false;
#else
  return ::syscall(SYS_close_range, first, last, 0) == 0;
#endif
}

// All that are open, as /proc says; without it, all that there can be.
std::vector<int> open_descriptors() {
  std::vector<int> open;
  DIR* const directory = ::opendir("/proc/self/fd");
  if (directory == nullptr) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    for (int fd = 0; fd < static_cast<int>(std::min<rlim_t>(limit.rlim_cur, 1U << 20U)); ++fd)
      open.push_back(fd);
    return open;
  }
  const int own = ::dirfd(directory);
  while (const dirent* entry = ::readdir(directory)) {
    char* end = nullptr;
    const long fd = std::strtol(entry->d_name, &end, 10);
    if (end != entry->d_name && *end == '\0' && fd != own) open.push_back(static_cast<int>(fd));
  }
  ::closedir(directory);
  return open;
}

void close_one_by_one(const std::vector<int>& kept) {
  for (const int fd : open_descriptors()) {
    if (!std::binary_search(kept.begin(), kept.end(), fd)) ::close(fd);
  }
}

}  // namespace

void close_all_but(std::vector<int> kept) noexcept {
  kept.insert(kept.end(), {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO});
  std::erase_if(kept, [](int fd) { return fd < 0; });
  std::sort(kept.begin(), kept.end());
  unsigned next = 0;
  for (const int fd : kept) {
    const auto at = static_cast<unsigned>(fd);
    if (at > next && !close_range(next, at - 1)) return close_one_by_one(kept);
    next = at + 1;
  }
  if (!close_range(next, ~0U)) close_one_by_one(kept);
}

}  // namespace sluice::detail
