// SPDX-License-Identifier: Apache-2.0
#include "partition_process.hpp"

#include <cerrno>
#include <csignal>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

// Between fork and exec, in a process whose threads are gone.
[[noreturn]] void become(char* const* words, pid_t agent, PartitionProcess::How how) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != agent) ::_exit(static_cast<int>(PartitionEnd::failed));
  if (how.nice != 0) ::setpriority(PRIO_PROCESS, 0, ::getpriority(PRIO_PROCESS, 0) + how.nice);
  if (how.output >= 0) ::dup2(how.output, STDOUT_FILENO);
  // Ctrl-C is the agent's; it asks each partition by itself.
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGHUP, SIG_IGN);
  // Who is asked to park before it listens is not killed by that: it waits until then.
  sigset_t park;
  ::sigemptyset(&park);
  ::sigaddset(&park, SIGTERM);
  ::sigprocmask(SIG_SETMASK, &park, nullptr);
  ::execv("/proc/self/exe", words);
  ::_exit(static_cast<int>(PartitionEnd::failed));
}

}  // namespace

PartitionProcess PartitionProcess::start(const std::vector<std::string>& arguments, How how) {
  std::vector<std::string> own = arguments;
  std::vector<char*> words;
  words.reserve(own.size() + 1);
  for (std::string& word : own)
    words.push_back(word.data());
  words.push_back(nullptr);
  const pid_t agent = ::getpid();
  // What comes before it has become another program is not for the agent's handlers, of which it has a copy.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) become(words.data(), agent, how);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0)
    throw Error{{"start", "the process of a partition", errno_text(), "raise the limit of processes"}};
  return PartitionProcess{pid};
}

void PartitionProcess::ask_to_park() noexcept {
  if (asked_) return;
  asked_ = true;
  ::kill(pid_, SIGTERM);
}

void PartitionProcess::kill() noexcept {
  ::kill(pid_, SIGKILL);
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

std::optional<PartitionEnd> PartitionProcess::ended() {
  int status = 0;
  const pid_t found = ::waitpid(pid_, &status, WNOHANG);
  if (found == 0 || (found < 0 && errno == EINTR)) return std::nullopt;
  if (found == pid_ && WIFEXITED(status)) {
    const auto end = static_cast<PartitionEnd>(WEXITSTATUS(status));
    if (end >= PartitionEnd::finished && end <= PartitionEnd::failed) return end;
  }
  return PartitionEnd::failed;
}

}  // namespace sluice::detail
