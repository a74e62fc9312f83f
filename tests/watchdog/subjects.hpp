// SPDX-License-Identifier: Apache-2.0
// Processes for the watchdog and the stack dumper to look at: each hangs in a function with a name of its
// own, has a deadline, and is never left behind.
#pragma once

#include <atomic>
#include <chrono>
#include <csignal>
#include <ctime>
#include <fstream>
#include <functional>
#include <new>
#include <poll.h>
#include <sched.h>
#include <string>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace sluice::test {

// Of those that this process may use: 0 need not be one of them.
inline void stay_on_the_first_processor() {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  ::sched_getaffinity(0, sizeof(allowed), &allowed);
  int processor = 0;
  while (processor < CPU_SETSIZE - 1 && !CPU_ISSET(processor, &allowed))
    ++processor;
  cpu_set_t first;
  CPU_ZERO(&first);
  CPU_SET(processor, &first);
  ::sched_setaffinity(0, sizeof(first), &first);
}

// For as long as the process lives. Not inlined, not cloned, so that their names stand on the stack.
[[gnu::noinline]] inline void spins_here(std::atomic<std::uint64_t>& turns) {
  while (true)
    turns.store(turns.load(std::memory_order_relaxed) + 1,
                std::memory_order_relaxed);  // relaxed: one writer.
}

[[gnu::noinline]] inline void sleeps_here() {
  const timespec hour{3600, 0};
  while (true)
    ::nanosleep(&hour, nullptr);
}

// A word that a child writes and its parent reads.
class SharedWord {
 public:
  SharedWord()
      : word_{new (::mmap(nullptr, sizeof(std::atomic<std::uint64_t>), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0)) std::atomic<std::uint64_t>{0}} {}
  ~SharedWord() { ::munmap(word_, sizeof(*word_)); }
  SharedWord(const SharedWord&) = delete;
  SharedWord& operator=(const SharedWord&) = delete;
  std::atomic<std::uint64_t>& operator*() const noexcept { return *word_; }
  std::atomic<std::uint64_t>* operator->() const noexcept { return word_; }

 private:
  std::atomic<std::uint64_t>* word_;
};

class Subject {
 public:
  explicit Subject(const std::function<void()>& life) {
    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() == parent) life();
      ::_exit(0);
    }
    pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
  }
  ~Subject() {
    if (!reaped_) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(pidfd_);
  }
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;

  pid_t pid() const noexcept { return pid_; }
  int pidfd() const noexcept { return pidfd_; }
  bool dead(std::chrono::milliseconds within = {}) const {
    pollfd entry{pidfd_, POLLIN, 0};
    return ::poll(&entry, 1, static_cast<int>(within.count())) == 1;
  }
  // The signal that it died of, once it is dead.
  int signal() {
    int status = 0;
    ::waitpid(pid_, &status, 0);
    reaped_ = true;
    return WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  }
  // Of the kernel's account: "State", "TracerPid", ...
  std::string status(const std::string& field) const {
    std::ifstream file{"/proc/" + std::to_string(pid_) + "/status"};
    for (std::string line; std::getline(file, line);) {
      if (line.compare(0, field.size() + 1, field + ":") == 0) {
        return line.substr(line.find_first_not_of(" \t", field.size() + 1));
      }
    }
    return {};
  }
  char state() const { return (status("State") + "?")[0]; }

 private:
  pid_t pid_ = 0;
  int pidfd_ = -1;
  bool reaped_ = false;
};

}  // namespace sluice::test
