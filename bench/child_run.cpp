// SPDX-License-Identifier: Apache-2.0
#include "child_run.hpp"

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <exception>
#include <fcntl.h>
#include <new>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace sluice::bench {
namespace {

constexpr int kLongestRunMs = 20'000;
constexpr std::int64_t kLongestFarewellNs = 5'000'000'000;

std::int64_t now_ns() noexcept {
  return std::chrono::steady_clock::now().time_since_epoch() / std::chrono::nanoseconds{1};
}

double children_cpu_seconds() noexcept {
  rusage usage{};
  ::getrusage(RUSAGE_CHILDREN, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// True when it ended by itself.
bool await(pid_t child) {
  const auto pidfd = static_cast<int>(::syscall(SYS_pidfd_open, child, 0));
  pollfd entry{pidfd, POLLIN, 0};
  const std::int64_t until = now_ns() + std::int64_t{kLongestRunMs} * 1'000'000;
  int ready = 0;
  do {
    ready = ::poll(&entry, 1, kLongestRunMs);
  } while (ready < 0 && errno == EINTR && now_ns() < until);
  ::close(pidfd);
  if (ready <= 0) ::kill(-child, SIGKILL);  // With all that it has started.
  return ready > 0;
}

// All that outlived the child, which are this process's children by now. False when one does not end.
bool await_descendants() {
  const std::int64_t until = now_ns() + kLongestFarewellNs;
  while (now_ns() < until) {
    const pid_t ended = ::waitpid(-1, nullptr, WNOHANG);
    if (ended < 0 && errno == ECHILD) return true;
    if (ended == 0) ::usleep(50);
  }
  return false;
}

}  // namespace

void Told::begin() noexcept {
  first_ns.store(now_ns());
}

void Told::end(std::uint64_t counted, std::uint64_t summed) noexcept {
  events.store(counted);
  sum.store(summed);
  last_ns.store(now_ns());
}

Told& told() {
  static Told* const shared = [] {
    void* memory = ::mmap(nullptr, sizeof(Told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc{};
    return new (memory) Told{};
  }();
  return *shared;
}

ChildRun run_child(const std::function<int()>& work) {
  // What outlives its parent becomes a child of this process, and its time counts.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  new (&told()) Told{};
  std::fflush(nullptr);
  const double cpu_before_s = children_cpu_seconds();
  const std::int64_t start_ns = now_ns();
  const pid_t child = ::fork();
  if (child < 0) return {0, 0, "the child could not be forked"};
  if (child == 0) {
    ::setpgid(0, 0);
    int status = 1;
    try {
      status = work();
    } catch (const std::exception& error) {
      std::fprintf(stderr, "problem: %s\n", error.what());
    }
    std::fflush(nullptr);
    ::_exit(status);
  }
  ::setpgid(child, child);
  const bool ended = await(child);
  ChildRun run;
  run.wall_s = static_cast<double>(now_ns() - start_ns) * 1e-9;
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!ended) {
    run.problem = "it did not end within 20 s and was killed";
  } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    run.problem = "it did not end well: wait status " + std::to_string(status);
  }
  ::kill(-child, SIGKILL);  // Nothing of it runs on; there is hardly ever anything.
  if (!await_descendants()) run.problem = "processes of it went on after its end";
  run.cpu_s = children_cpu_seconds() - cpu_before_s;
  return run;
}

ChildRun run_program(const std::vector<std::string>& command) {
  return run_child([&command] {
    std::vector<char*> arguments;
    arguments.reserve(command.size() + 1);
    for (const std::string& argument : command)
      arguments.push_back(const_cast<char*>(argument.c_str()));  // execv() reads it only.
    arguments.push_back(nullptr);
    const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
    ::dup2(nowhere, STDOUT_FILENO);
    ::execv(arguments.front(), arguments.data());
    return 127;
  });
}

}  // namespace sluice::bench
