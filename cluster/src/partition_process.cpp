// SPDX-License-Identifier: Apache-2.0
#include "partition_process.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <fcntl.h>
#include <poll.h>
#include <string_view>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sluice/detail/scheduling.hpp>
#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

constexpr std::string_view kReady = "ready";
constexpr std::string_view kBegun = "begun";
constexpr std::string_view kParked = "parked";
constexpr std::string_view kError = "error ";
constexpr std::string_view kStart = "start ";
constexpr std::size_t kMostError = 400;
// Ends a process that does nothing about it, and nobody else sends it.
constexpr int kRefusedSignal = SIGUSR2;

bool send_all(int line, std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t sent = ::send(line, text.data(), text.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    text.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

// Between fork and exec, in a process whose threads are gone.
[[noreturn]] void become(char* const* words, pid_t agent, int line, PartitionProcess::How how) noexcept {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != agent) ::_exit(static_cast<int>(PartitionEnd::failed));
  take_ease(Sharing::alone);  // It goes before no other, as its agent may.
  if (how.nice != 0) ::setpriority(PRIO_PROCESS, 0, ::getpriority(PRIO_PROCESS, 0) + how.nice);
  // One that is there already stays open; any other is copied, and the copy is.
  if (line == kAgentLine ? ::fcntl(line, F_SETFD, 0) != 0 : ::dup2(line, kAgentLine) < 0)
    ::_exit(static_cast<int>(PartitionEnd::failed));
  // Ctrl-C is the agent's; it asks each partition by itself.
  std::signal(SIGINT, SIG_IGN);
  std::signal(SIGTERM, SIG_DFL);
  std::signal(SIGHUP, SIG_IGN);
  std::signal(kRefusedSignal, SIG_DFL);
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
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    throw Error{{"start", "the process of a partition", errno_text(), "raise the limit of files"}};
  Descriptor line{ends[0]};
  const Descriptor other{ends[1]};
  const pid_t agent = ::getpid();
  // What comes before it has become another program is not for the agent's handlers, of which it has a copy.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  const pid_t pid = ::fork();
  if (pid == 0) become(words.data(), agent, other.get(), how);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (pid < 0)
    throw Error{{"start", "the process of a partition", errno_text(), "raise the limit of processes"}};
  return PartitionProcess{pid, std::move(line)};
}

void PartitionProcess::hear() {
  constexpr std::size_t kMostHeard = 8192;
  std::array<char, 1024> bytes;
  while (true) {
    const ssize_t got = ::recv(line_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    heard_.append(bytes.data(), static_cast<std::size_t>(got));
    for (std::size_t end = heard_.find('\n'); end != std::string::npos; end = heard_.find('\n')) {
      const std::string word = heard_.substr(0, end);
      heard_.erase(0, end + 1);
      if (word == kReady) ready_ = true;
      if (word == kBegun) begun_ = true;
      if (word == kParked) parked_ = true;
      if (word.starts_with(kError)) error_ = word.substr(kError.size());
    }
    if (heard_.size() > kMostHeard) heard_.clear();
  }
}

bool PartitionProcess::start_from(std::uint64_t epoch) noexcept {
  return send_all(line_.get(), std::string{kStart} + std::to_string(epoch) + "\n");
}

void keep_agent_line() noexcept {
  ::fcntl(kAgentLine, F_SETFD, FD_CLOEXEC);
}

bool tell_agent_ready() noexcept {
  return send_all(kAgentLine, std::string{kReady} + "\n");
}

void tell_agent_begun() noexcept {
  static_cast<void>(send_all(kAgentLine, std::string{kBegun} + "\n"));
}

void tell_agent_parked() noexcept {
  static_cast<void>(send_all(kAgentLine, std::string{kParked} + "\n"));
}

void tell_agent_error(const std::string& text) noexcept {
  std::string line{kError};
  for (const char each : text.substr(0, kMostError))
    line += each == '\n' ? ' ' : each;
  static_cast<void>(send_all(kAgentLine, line + "\n"));
}

std::optional<std::uint64_t> hear_agent(int other, std::chrono::milliseconds limit) noexcept {
  std::array<pollfd, 2> waits{{{kAgentLine, POLLIN, 0}, {other, POLLIN, 0}}};
  if (::poll(waits.data(), waits.size(), static_cast<int>(limit.count())) <= 0 || waits[0].revents == 0)
    return std::nullopt;
  std::array<char, 64> bytes;
  const ssize_t got = ::recv(kAgentLine, bytes.data(), bytes.size(), 0);
  if (got < 0 && errno == EINTR) return std::nullopt;
  const std::string_view word{bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(got, 0))};
  std::uint64_t epoch = 0;
  // A word of the agent is sent at once, and comes at once.
  if (word.starts_with(kStart))
    std::from_chars(word.data() + kStart.size(), word.data() + word.size(), epoch);
  return epoch;
}

void PartitionProcess::ask_to_park() noexcept {
  if (asked_) return;
  asked_ = true;
  ::kill(pid_, SIGTERM);
}

void PartitionProcess::begin_to_kill() noexcept {
  ::kill(pid_, SIGKILL);
}

void PartitionProcess::kill() noexcept {
  begin_to_kill();
  int status = 0;
  while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
  note(status);
}

void PartitionProcess::note(int status) noexcept {
  refused_ = WIFSIGNALED(status) && WTERMSIG(status) == kRefusedSignal;
}

void end_refused(pid_t partition) noexcept {
  ::kill(partition, kRefusedSignal);
  ::kill(partition, SIGKILL);  // Should somebody have a handler for that.
}

std::optional<PartitionEnd> PartitionProcess::ended() {
  int status = 0;
  pid_t found = 0;
  while ((found = ::waitpid(pid_, &status, WNOHANG | WUNTRACED | WCONTINUED)) == pid_ &&
         (WIFSTOPPED(status) || WIFCONTINUED(status)))
    stopped_ = WIFSTOPPED(status);
  if (found == 0 || (found < 0 && errno == EINTR)) return std::nullopt;
  if (found == pid_) note(status);
  if (refused_) return PartitionEnd::fenced;
  if (found == pid_ && WIFEXITED(status)) {
    const auto end = static_cast<PartitionEnd>(WEXITSTATUS(status));
    if (end >= PartitionEnd::finished && end <= PartitionEnd::failed) return end;
  }
  return PartitionEnd::failed;
}

}  // namespace sluice::detail
