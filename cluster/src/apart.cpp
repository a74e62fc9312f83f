// SPDX-License-Identifier: Apache-2.0
#include "apart.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/descriptor.hpp>
#include <sluice/detail/journal.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/unavailable.hpp>

#include "state_log.hpp"

namespace sluice::detail {
namespace {

constexpr std::chrono::milliseconds kBetweenWords{100};

// Whether anything was said within `limit`; nothing, once the other end is closed.
std::optional<bool> hears(int line, std::chrono::milliseconds limit) noexcept {
  pollfd wait{line, POLLIN, 0};
  if (::poll(&wait, 1, static_cast<int>(limit.count())) <= 0) return false;
  std::array<char, 64> words;
  const ssize_t got = ::recv(line, words.data(), words.size(), MSG_DONTWAIT);
  if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) return std::nullopt;
  return got > 0;
}

}  // namespace

void show_life(int line) noexcept {
  const char word = '.';
  while (::send(line, &word, 1, MSG_DONTWAIT | MSG_NOSIGNAL) == 1 || errno == EAGAIN || errno == EINTR)
    std::this_thread::sleep_for(kBetweenWords);
}

std::optional<PartitionEnd> await_end(pid_t child, int line, std::chrono::milliseconds silence) noexcept {
  bool silent = false;
  // Twice half of it: where both were stopped, and go on, the first is over at once.
  for (unsigned halves = 0; !silent;) {
    const auto heard = hears(line, silence / 2);
    if (!heard) break;
    halves = *heard ? 0 : halves + 1;
    silent = halves == 2;
  }
  if (silent) ::kill(child, SIGKILL);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (silent) return std::nullopt;
  return WIFEXITED(status) ? static_cast<PartitionEnd>(WEXITSTATUS(status)) : PartitionEnd::failed;
}

PartitionEnd apart(const std::function<void()>& work, std::chrono::milliseconds silence) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    throw Error{{"start", "a process", errno_text(), "raise the limit of files"}};
  const Descriptor line{ends[0]};
  Descriptor other{ends[1]};
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) throw Error{{"start", "a process", errno_text(), "raise the limit of processes"}};
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(static_cast<int>(PartitionEnd::failed));
    const PartitionEnd end = end_of([&work, &other] {
      std::thread{show_life, other.get()}.detach();
      work();
      return PartitionEnd::finished;
    });
    std::fflush(stderr);
    ::_exit(static_cast<int>(end));
  }
  other.reset();
  if (const auto end = await_end(pid, line.get(), silence)) return *end;
  throw Error{{"wait for", fmt::format("the process {} that claims and fetches checkpoints", pid),
               fmt::format("it has shown no life for {} ms, and was ended", silence.count()),
               "let nobody stop processes of a cluster's host"}};
}

PartitionEnd end_of(const std::function<PartitionEnd()>& work) noexcept {
  try {
    return work();
  } catch (const Fenced& fenced) {
    say(Priority::warning, fmt::format("fenced: {}\n", printable_message(fenced.what())));
    return PartitionEnd::fenced;
  } catch (const Unavailable& away) {
    say(Priority::warning, fmt::format("away: {}\n", printable_message(away.what())));
    return PartitionEnd::away;
  } catch (const std::exception& error) {
    say(Priority::error, fmt::format("error: {}\n", printable_message(error.what())));
    tell_agent_error(printable_message(error.what()));
    return PartitionEnd::failed;
  }
}

}  // namespace sluice::detail
