#include "kernel_account.hpp"

#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <unistd.h>

namespace sluice {

std::optional<KernelAccount> kernel_account(pid_t pid) noexcept {
  char path[32];
  std::snprintf(path, sizeof(path), "/proc/%d/stat", static_cast<int>(pid));
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return std::nullopt;
  char text[1024];
  const ssize_t bytes = ::read(fd, text, sizeof(text) - 1);
  ::close(fd);
  if (bytes <= 0) return std::nullopt;
  text[bytes] = '\0';
  // The second field is the name, which may hold anything, in parentheses. Source: proc(5).
  const char* rest = std::strrchr(text, ')');
  if (rest == nullptr) return std::nullopt;
  char state = '?';
  unsigned long user = 0;
  unsigned long system = 0;
  if (std::sscanf(rest + 1, " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &state, &user, &system) !=
      3) {
    return std::nullopt;
  }
  static const auto ticks_per_second = static_cast<unsigned long>(::sysconf(_SC_CLK_TCK));
  const auto nanoseconds = static_cast<std::int64_t>((user + system) * (1'000'000'000UL / ticks_per_second));
  return KernelAccount{state, std::chrono::nanoseconds{nanoseconds}};
}

}  // namespace sluice
