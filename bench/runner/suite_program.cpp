// SPDX-License-Identifier: Apache-2.0
// Fork, exec, process group, pidfd.

#include "suite_program.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace sluice::bench {
namespace {

constexpr int kCannotStart = 127;

sigset_t ending_signals() noexcept {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP})
    sigaddset(&signals, signal);
  return signals;
}

// Between fork and exec; what went wrong leaves by `failure`, which a successful exec closes.
[[noreturn]] void become(char* const* argv, int output, int errors, int failure, pid_t parent) {
  ::setpgid(0, 0);
  // Were we killed, nobody would see to its end.
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(kCannotStart);
  ::dup2(output, STDIN_FILENO);  // /dev/null ends at once for a reader.
  ::dup2(output, STDOUT_FILENO);
  ::dup2(errors, STDERR_FILENO);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  // A shell without job control starts what runs in the background deaf to SIGINT.
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGPIPE})
    std::signal(signal, SIG_DFL);
  ::execv(argv[0], argv);
  const int error = errno;
  [[maybe_unused]] const ssize_t written = ::write(failure, &error, sizeof(error));
  ::_exit(kCannotStart);
}

// A descriptor that is closed at the end of its block.
class Descriptor {
 public:
  explicit Descriptor(int fd) noexcept : fd_{fd} {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const noexcept { return fd_; }

 private:
  int fd_;
};

}  // namespace

SuiteProgram::SuiteProgram(const std::vector<std::string>& arguments, const std::string& words) {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments)
    argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  const Descriptor output{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  const Descriptor errors{::open(words.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
  if (output.get() < 0 || errors.get() < 0) throw Error{{"write", words, errno_text(), ""}};
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Error{{"start", arguments.front(), errno_text(), ""}};
  const Descriptor reader{ends[0]};
  const pid_t parent = ::getpid();
  int error = 0;
  {
    const Descriptor writer{ends[1]};
    pid_ = ::fork();
    if (pid_ == 0) become(argv.data(), output.get(), errors.get(), writer.get(), parent);
    if (pid_ < 0) error = errno;
  }
  if (pid_ > 0) {
    ::setpgid(pid_, pid_);  // Whoever of both comes first.
    // Ends when the exec has succeeded or the process has died.
    while (::read(reader.get(), &error, sizeof(error)) < 0 && errno == EINTR) {
    }
    pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    if (pidfd_ < 0 && error == 0) error = errno;
  }
  if (error == 0) return;
  if (pid_ > 0) finish();
  if (pidfd_ >= 0) ::close(pidfd_);
  throw Error{{"start", arguments.front(), errno_text(error), ""}};
}

SuiteProgram::~SuiteProgram() {
  finish();
  ::close(pidfd_);
}

void SuiteProgram::send(int signal) const noexcept {
  // As long as it is not reaped the group's number is nobody else's.
  if (!reaped_) ::kill(-pid_, signal);
}

void SuiteProgram::finish() noexcept {
  send(SIGKILL);
  while (!reaped_) {
    if (::waitpid(pid_, &wait_status_, 0) == pid_) reaped_ = true;
    if (!reaped_ && errno != EINTR) break;
  }
}

bool SuiteProgram::completed() const noexcept {
  return WIFEXITED(wait_status_) && WEXITSTATUS(wait_status_) == 0;
}

int SuiteProgram::exit_status() const noexcept {
  return WIFEXITED(wait_status_) ? WEXITSTATUS(wait_status_) : -1;
}

std::string SuiteProgram::end_in_words() const {
  if (WIFEXITED(wait_status_)) return fmt::format("ended with status {}", WEXITSTATUS(wait_status_));
  return fmt::format("died of signal {} ({})", WTERMSIG(wait_status_), ::strsignal(WTERMSIG(wait_status_)));
}

Interruption::Interruption() {
  const sigset_t signals = ending_signals();
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  fd_ = ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
  if (fd_ < 0) throw Error{{"wait for", "signals", errno_text(), ""}};
}

Interruption::~Interruption() {
  // Somebody who is impatient presses the key again: what was measured is still to be written.
  while (take() != 0) {
  }
  ::close(fd_);
  const sigset_t signals = ending_signals();
  ::sigprocmask(SIG_UNBLOCK, &signals, nullptr);
}

int Interruption::take() const noexcept {
  signalfd_siginfo info{};
  return ::read(fd_, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))
             ? static_cast<int>(info.ssi_signo)
             : 0;
}

}  // namespace sluice::bench
