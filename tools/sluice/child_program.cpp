// SPDX-License-Identifier: Apache-2.0
#include "child_program.hpp"

#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/error.hpp>

namespace sluice::command {
namespace {

// Between fork and exec; what went wrong leaves by `failure`, which a successful exec closes.
[[noreturn]] void become(char* const* argv, int failure, pid_t parent, int output) {
  // Were we killed, no process would be left that watches over the end of the program.
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);
  // We end it by SIGINT, which a shell ignores for what it starts in the background.
  for (const int signal : {SIGPIPE, SIGINT})
    std::signal(signal, SIG_DFL);
  if (output >= 0) {
    ::setpgid(0, 0);
    const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ::dup2(nothing, STDIN_FILENO);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
  }
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::execvp(argv[0], argv);
  const int error = errno;
  [[maybe_unused]] const ssize_t written = ::write(failure, &error, sizeof(error));
  ::_exit(127);
}

}  // namespace

ChildProgram::ChildProgram(const std::vector<std::string>& arguments, int output) : has_group_{output >= 0} {
  std::vector<char*> argv;
  argv.reserve(arguments.size() + 1);
  for (const std::string& argument : arguments)
    argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Error{{"start", arguments.front(), errno_text(), ""}};
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) become(argv.data(), ends[1], parent, output);
  const int fork_error = errno;
  ::close(ends[1]);
  int error = pid_ < 0 ? fork_error : 0;
  if (pid_ > 0) {
    // Ends when the exec has succeeded or the process has died.
    while (::read(ends[0], &error, sizeof(error)) < 0 && errno == EINTR) {
    }
    pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    if (pidfd_ < 0 && error == 0) error = errno;
  }
  ::close(ends[0]);
  if (error == 0) return;
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);  // A child that is not reaped yet: the pid is its own.
    ::waitpid(pid_, nullptr, 0);
  }
  if (pidfd_ >= 0) ::close(pidfd_);
  throw Error{{"start", fmt::format("'{}'", arguments.front()), errno_text(error),
               "name a program by its path, or one that PATH finds"}};
}

ChildProgram::~ChildProgram() {
  if (!reaped_) {
    // Not reaped: the group is still its own.
    if (has_group_) ::kill(-pid_, SIGKILL);
    send(SIGKILL);
    status();
  }
  ::close(pidfd_);
}

void ChildProgram::send(int signal) const noexcept {
  ::syscall(SYS_pidfd_send_signal, pidfd_, signal, nullptr, 0);
}

int ChildProgram::status() {
  while (!reaped_) {
    if (::waitpid(pid_, &wait_status_, 0) == pid_) reaped_ = true;
    if (!reaped_ && errno != EINTR) break;
  }
  return WIFEXITED(wait_status_) ? WEXITSTATUS(wait_status_) : 128 + WTERMSIG(wait_status_);
}

std::string ChildProgram::end_in_words() const {
  if (WIFEXITED(wait_status_)) return fmt::format("ended with status {}", WEXITSTATUS(wait_status_));
  return fmt::format("died of signal {} ({})", WTERMSIG(wait_status_), ::strsignal(WTERMSIG(wait_status_)));
}

}  // namespace sluice::command
