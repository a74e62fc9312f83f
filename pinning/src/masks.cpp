// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/pinning/masks.hpp>

namespace sluice::pinning {
namespace {

// An entry of a directory, as getdents64(2) writes it.
struct DirectoryEntry {
  std::uint64_t inode;
  std::int64_t offset;
  std::uint16_t bytes;
  std::uint8_t type;
  char name[1];
};

int keep_within(pid_t thread, const Mask& asked) noexcept {
  Mask found;
  if (read_mask(thread, found) != 0 || includes(asked, found)) return 0;
  const int error = write_mask(thread, asked);
  return error == ESRCH ? 0 : error;
}

// Calls `act` with each thread of the process; why it could not: errno.
template <class Act>
int each_thread(pid_t process, Act&& act) noexcept {
  char path[32];
  std::snprintf(path, sizeof(path), "/proc/%d/task", process);
  const detail::Descriptor directory{::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  if (!directory) return errno == ENOENT ? 0 : errno;
  alignas(DirectoryEntry) char entries[4096];
  // readdir() would allocate. The kernel gives each thread once, so that this ends.
  while (true) {
    const long bytes = ::syscall(SYS_getdents64, directory.get(), entries, sizeof(entries));
    if (bytes <= 0) return 0;
    for (long at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const DirectoryEntry*>(entries + at);
      at += entry->bytes;
      const auto thread = static_cast<pid_t>(std::strtol(entry->name, nullptr, 10));
      if (thread > 0) act(thread);
    }
  }
}

}  // namespace

Mask mask_of(const CpuSet& units) noexcept {
  Mask mask{};
  const auto words = units.mask();
  if (words.size() <= mask.size()) std::copy(words.begin(), words.end(), mask.begin());
  return mask;
}

CpuSet set_of(const Mask& mask) {
  return CpuSet::from_mask(mask);
}

bool is_empty(const Mask& mask) noexcept {
  return std::all_of(mask.begin(), mask.end(), [](CpuSet::Word word) { return word == 0; });
}

bool includes(const Mask& outer, const Mask& inner) noexcept {
  return std::equal(outer.begin(), outer.end(), inner.begin(),
                    [](CpuSet::Word out, CpuSet::Word in) { return (in & ~out) == 0; });
}

int read_mask(pid_t thread, Mask& found) noexcept {
  found.fill(0);
  return ::sched_getaffinity(thread, sizeof(found), reinterpret_cast<cpu_set_t*>(found.data())) == 0 ? 0
                                                                                                     : errno;
}

int write_mask(pid_t thread, const Mask& asked) noexcept {
  const auto* mask = reinterpret_cast<const cpu_set_t*>(asked.data());
  return ::sched_setaffinity(thread, sizeof(asked), mask) == 0 ? 0 : errno;
}

int keep_threads_within(pid_t process, const Mask& asked) noexcept {
  int first_error = 0;
  const int error = each_thread(process, [&](pid_t thread) {
    const int refused = keep_within(thread, asked);
    if (first_error == 0) first_error = refused;
  });
  return error != 0 ? error : first_error;
}

ThreadsKept keep_threads_at(pid_t process, const Mask& asked) noexcept {
  ThreadsKept kept;
  const int error = each_thread(process, [&](pid_t thread) {
    Mask found;
    if (read_mask(thread, found) != 0 || found == asked) return;
    int refused = write_mask(thread, asked);
    if (refused == ESRCH) return;
    ++kept.found;
    kept.mask = found;
    // The kernel may take it and grant less.
    if (refused == 0 && (read_mask(thread, found) != 0 || found != asked)) refused = EINVAL;
    if (refused == 0) ++kept.kept;
    if (kept.error == 0) kept.error = refused;
  });
  if (kept.error == 0) kept.error = error;
  return kept;
}

int read_grantable(Mask& found) noexcept {
  Mask own;
  Mask all;
  all.fill(~CpuSet::Word{0});
  if (const int error = read_mask(0, own); error != 0) return error;
  if (const int error = write_mask(0, all); error != 0) return error;
  const int error = read_mask(0, found);
  // Where none of its units is left, it stays on what there is.
  write_mask(0, own);
  return error;
}

}  // namespace sluice::pinning
