#include "descriptor.hpp"

#include <string>
#include <sys/syscall.h>
#include <unistd.h>

#include <sluice/error.hpp>

namespace sluice {

void Descriptor::reset() noexcept {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

Descriptor open_pidfd(pid_t pid) {
  const long fd = ::syscall(SYS_pidfd_open, pid, 0);
  if (fd < 0) {
    throw Error{{"watch the process", std::to_string(pid), errno_text(),
                 errno == EMFILE ? "raise the limit of open files (ulimit -n)" : ""}};
  }
  return Descriptor{static_cast<int>(fd)};
}

bool send_signal(const Descriptor& pidfd, int signal) noexcept {
  return ::syscall(SYS_pidfd_send_signal, pidfd.get(), signal, nullptr, 0) == 0;
}

}  // namespace sluice
