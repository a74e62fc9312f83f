// SPDX-License-Identifier: Apache-2.0
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <poll.h>
#include <string>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <sluice/detail/call_remedy.hpp>
#include <sluice/detail/descriptor.hpp>
#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

// Since Linux 6.9 a pidfd is a file of its own file system, whose inode numbers are never used twice. Source:
// include/uapi/linux/magic.h.
constexpr long kPidFileSystem = 0x50494446;

// The 22nd field of /proc/PID/stat, in clock ticks since the machine started; 0 when there is no such
// process. Source: proc(5).
std::uint64_t start_time_of(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (!file && errno != ENOENT) throw Error{{"read", path, errno_text(), ""}};
  char text[1024];
  const ssize_t bytes = file ? ::read(file.get(), text, sizeof(text) - 1) : -1;
  if (bytes <= 0) return 0;
  text[bytes] = '\0';
  const char* rest = std::strrchr(text, ')');
  unsigned long long start = 0;
  if (rest == nullptr ||
      std::sscanf(rest + 1,
                  " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
                  &start) != 1) {
    throw Error{{"read", path, "it holds no start time", ""}};
  }
  return start;
}

}  // namespace

int above_standard(int fd) noexcept {
  if (fd < 0 || fd > STDERR_FILENO) return fd;
  const int moved = ::fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int error = errno;
  ::close(fd);
  errno = error;
  return moved;
}

void Descriptor::reset() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Descriptor open_pidfd(pid_t pid) {
  const long fd = ::syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) {
    throw Error{
        {"watch the process", std::to_string(pid), errno_text(), remedy_for_call(errno, "pidfd_open")}};
  }
  return Descriptor{static_cast<int>(fd)};
}

std::uint64_t identity_of(const Descriptor& pidfd, pid_t pid) {
  struct statfs system {};
  struct stat file {};
  if (::fstatfs(pidfd.get(), &system) != 0 || ::fstat(pidfd.get(), &file) != 0) {
    throw Error{{"identify the process", std::to_string(pid), errno_text(), ""}};
  }
  if (system.f_type == kPidFileSystem) return file.st_ino;
  // A start time is that of the process behind the pidfd if that one has its pid still, which it has until it
  // is reaped. All pids would have to be used up within one tick for two processes to share pid and time.
  const std::uint64_t start = start_time_of(pid);
  return send_signal(pidfd, 0) ? start : 0;
}

Descriptor find_process(pid_t pid, std::uint64_t identity) {
  if (pid <= 0) return {};
  Descriptor pidfd{static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))};
  if (!pidfd && errno != ESRCH) {
    throw Error{
        {"watch the process", std::to_string(pid), errno_text(), remedy_for_call(errno, "pidfd_open")}};
  }
  if (!pidfd || identity_of(pidfd, pid) != identity) return {};
  return pidfd;
}

bool send_signal(const Descriptor& pidfd, int signal) noexcept {
  return ::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) == 0;
}

bool await_death(const Descriptor& pidfd, std::chrono::milliseconds limit) noexcept {
  const auto until = std::chrono::steady_clock::now() + limit;
  pollfd entry{pidfd.get(), POLLIN, 0};
  int found = 0;
  do {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
    found = ::poll(&entry, 1, left > 0 ? static_cast<int>(left) : 0);
  } while (found < 0 && errno == EINTR);
  return found == 1;
}

}  // namespace sluice::detail
