// SPDX-License-Identifier: Apache-2.0
#include "death/stopped_process.hpp"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <thread>

#include <fmt/format.h>

#include <sluice/detail/plain_text.hpp>

namespace sluice::detail {
namespace {

using Clock = std::chrono::steady_clock;

// A look at a thread that is not stopped yet: waitpid() knows no time limit.
constexpr std::chrono::microseconds kLook{100};
// For a killed process to be gone, so that its parent can reap it.
constexpr std::chrono::milliseconds kGone{100};

std::string first_line(const std::string& path) {
  std::ifstream file{path};
  std::string line;
  std::getline(file, line);
  return line;
}

std::string task(pid_t pid, pid_t thread, const char* file) {
  return fmt::format("/proc/{}/task/{}/{}", pid, thread, file);
}

char state_of(pid_t pid, pid_t thread) {
  const std::string stat = first_line(task(pid, thread, "stat"));
  // Behind the name, which may hold anything, in parentheses. Source: proc(5).
  const std::size_t name_end = stat.rfind(')');
  return name_end == std::string::npos || name_end + 2 >= stat.size() ? '?' : stat[name_end + 2];
}

long tracer_of(pid_t pid) {
  std::ifstream file = words_of_file(fmt::format("/proc/{}/status", pid));
  for (std::string word; file >> word;) {
    long tracer = 0;
    if (word == "TracerPid:" && file >> tracer) return tracer;
  }
  return 0;
}

std::string why_not(pid_t pid, int error) {
  if (error == ESRCH) return "it is gone";
  if (const long tracer = tracer_of(pid)) return fmt::format("process {} is tracing it", tracer);
  const std::string scope = first_line("/proc/sys/kernel/yama/ptrace_scope");
  if (error == EPERM && !scope.empty() && scope != "0") {
    return fmt::format("the kernel forbids it (kernel.yama.ptrace_scope is {})", scope);
  }
  return std::generic_category().message(error);
}

}  // namespace

StoppedProcess::StoppedProcess(pid_t pid, Clock::time_point until) : pid_{pid}, until_{until} {
  // A thread that is not stopped yet may start another; once all are stopped, none appears any more.
  constexpr int kRounds = 16;
  for (int round = 0; round < kRounds && seize_new_threads() && Clock::now() < until_; ++round) {
    for (Thread& thread : threads_)
      thread.stopped = thread.stopped || await(thread);
  }
}

StoppedProcess::~StoppedProcess() {
  for (const Thread& thread : threads_)
    release(thread);
}

bool StoppedProcess::seize_new_threads() {
  std::error_code error;
  const std::filesystem::path tasks = fmt::format("/proc/{}/task", pid_);
  bool found = false;
  for (const auto& entry : std::filesystem::directory_iterator{tasks, error}) {
    const auto id = static_cast<pid_t>(std::strtol(entry.path().filename().c_str(), nullptr, 10));
    const auto known = [id](const Thread& thread) { return thread.id == id; };
    if (std::any_of(threads_.begin(), threads_.end(), known)) continue;
    Thread thread{id, first_line(task(pid_, id, "comm")), state_of(pid_, id)};
    if (::ptrace(PTRACE_SEIZE, id, 0, 0) != 0) {
      if (threads_.empty()) failure_ = why_not(pid_, errno);
      continue;
    }
    failure_.clear();
    ::ptrace(PTRACE_INTERRUPT, id, 0, 0);
    threads_.push_back(std::move(thread));
    found = true;
  }
  if (threads_.empty() && failure_.empty()) failure_ = "it is gone";
  return found;
}

bool StoppedProcess::await(Thread& thread) {
  constexpr int kEventShift = 16;  // A stop that is no signal's has its event there. Source: ptrace(2).
  while (true) {
    int status = 0;
    const pid_t changed = ::waitpid(thread.id, &status, __WALL | WNOHANG);
    if (changed == thread.id && WIFSTOPPED(status)) {
      if (status >> kEventShift == 0) thread.signal = WSTOPSIG(status);
      return true;
    }
    if (changed != 0 || Clock::now() >= until_) return false;
    std::this_thread::sleep_for(kLook);
  }
}

void StoppedProcess::release(const Thread& thread) const noexcept {
  if (thread.stopped && ::ptrace(PTRACE_DETACH, thread.id, 0, thread.signal) == 0) return;
  // It was killed meanwhile: until its tracer has seen that, its parent cannot reap it. A thread that could
  // not be stopped is let go of when this process ends.
  const auto until = Clock::now() + (thread.stopped ? kGone : std::chrono::milliseconds{0});
  while (true) {
    int status = 0;
    const pid_t changed = ::waitpid(thread.id, &status, __WALL | WNOHANG);
    if (changed < 0 || (changed == thread.id && !WIFSTOPPED(status))) return;
    if (changed == thread.id && ::ptrace(PTRACE_DETACH, thread.id, 0, 0) == 0) return;
    if (Clock::now() >= until) return;
    std::this_thread::sleep_for(kLook);
  }
}

}  // namespace sluice::detail
