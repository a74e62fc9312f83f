// SPDX-License-Identifier: Apache-2.0
#include "master/kernel_account.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <dirent.h>
#include <fcntl.h>
#include <span>
#include <sys/syscall.h>
#include <unistd.h>

namespace sluice::detail {
namespace {

using std::chrono::nanoseconds;

// What `file` says, as a string in `text`; false when there is no such process any more.
bool read_text(const char* path, std::span<char> text) noexcept {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const ssize_t bytes = ::read(fd, text.data(), text.size() - 1);
  ::close(fd);
  if (bytes <= 0) return false;
  text[static_cast<std::size_t>(bytes)] = '\0';
  return true;
}

struct Status {
  char state = '?';
  unsigned flags = 0;  // PF_EXITING and others.
  long threads = 1;
};

bool read_status(const char* path, Status& status) noexcept {
  char text[1024];
  if (!read_text(path, text)) return false;
  // The second field is the name, which may hold anything, in parentheses. Source: proc(5).
  const char* rest = std::strrchr(text, ')');
  return rest != nullptr &&
         std::sscanf(rest + 1, " %c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld",
                     &status.state, &status.flags, &status.threads) == 3;
}

// A core dump may take long, and the end of a large process, too.
bool is_dying(const Status& status) noexcept {
  constexpr unsigned kExiting = 0x4;
  constexpr unsigned kDumpsCore = 0x200;
  constexpr unsigned kKilledBySignal = 0x400;  // Source: include/linux/sched.h.
  return (status.flags & (kDumpsCore | kKilledBySignal)) != 0 ||
         ((status.flags & kExiting) != 0 && status.threads <= 1);
}

bool read_times(const char* path, ThreadAccount& thread) noexcept {
  char text[128];
  long long cpu = 0;
  long long delay = 0;
  if (!read_text(path, text) || std::sscanf(text, "%lld %lld", &cpu, &delay) != 2) return false;
  thread.cpu_time = nanoseconds{cpu};
  thread.run_delay = nanoseconds{delay};
  return true;
}

void read_thread(pid_t pid, pid_t id, KernelAccount& account) noexcept {
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", pid, id);
  Status status;
  if (!read_status(path, status)) return;
  ThreadAccount& thread = account.threads[account.thread_count++];
  thread.id = id;
  thread.state = status.state;
  std::snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, id);
  if (!read_times(path, thread)) account.run_delay_known = false;
}

// opendir() would allocate.
void read_other_threads(pid_t pid, KernelAccount& account) noexcept {
  char path[32];
  std::snprintf(path, sizeof(path), "/proc/%d/task", pid);
  const int tasks = ::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (tasks < 0) return;
  alignas(dirent64) char entries[4096];
  long bytes = 0;
  while ((bytes = ::syscall(SYS_getdents64, tasks, entries, sizeof(entries))) > 0) {
    for (long at = 0; at < bytes;) {
      const auto* entry = reinterpret_cast<const dirent64*>(entries + at);
      at += entry->d_reclen;
      const auto id = static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10));
      if (id == 0 || id == pid) continue;
      if (account.thread_count == KernelAccount::kThreadsKept) {
        account.run_delay_known = false;  // Of those that there is no room for.
      } else {
        read_thread(pid, id, account);
      }
    }
  }
  ::close(tasks);
}

}  // namespace

std::optional<KernelAccount> kernel_account(pid_t pid) noexcept {
  char path[32];
  std::snprintf(path, sizeof(path), "/proc/%d/stat", pid);
  Status status;
  clockid_t clock = 0;
  timespec cpu_time{};
  // To the nanosecond, and of a process that runs at this moment, too: /proc/PID/stat counts in 10 ms.
  if (!read_status(path, status) || ::clock_getcpuclockid(pid, &clock) != 0 ||
      ::clock_gettime(clock, &cpu_time) != 0) {
    return std::nullopt;
  }
  std::optional<KernelAccount> account{std::in_place};
  account->dying = is_dying(status);
  account->cpu_time = std::chrono::seconds{cpu_time.tv_sec} + nanoseconds{cpu_time.tv_nsec};
  account->thread_count = 1;
  ThreadAccount& main = account->threads[0];
  main.id = pid;
  main.state = status.state;
  std::snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
  account->run_delay_known = read_times(path, main);
  if (status.threads > 1) {
    read_other_threads(pid, *account);
  } else {
    main.cpu_time = account->cpu_time;
  }
  return account;
}

pid_t tracer_of(pid_t pid) noexcept {
  char path[64];
  std::snprintf(path, sizeof(path), "/proc/%d/status", pid);
  char text[4096];
  if (!read_text(path, text)) return 0;
  constexpr const char* kKey = "\nTracerPid:";
  const char* found = std::strstr(text, kKey);
  return found == nullptr ? 0 : static_cast<pid_t>(std::strtol(found + std::strlen(kKey), nullptr, 10));
}

}  // namespace sluice::detail
