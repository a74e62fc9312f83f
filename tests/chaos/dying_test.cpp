// SPDX-License-Identifier: Apache-2.0
// Chaos and processes that are killed and do not die for a while, as behind a disk or on a busy machine: a master and its
// supervisor, and a tracer that holds both at their exit.
#include <chrono>
#include <csignal>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include <gtest/gtest.h>

#include <sluice/chaos.hpp>

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

class HeldPair {
 public:
  HeldPair() {
    if (::pipe(ends_) != 0) return;
    tracer_ = ::fork();
    if (tracer_ == 0) trace();
    char byte = 0;
    ::close(ends_[1]);
    held_ = ::read(ends_[0], &byte, 1) == 1;
    ::close(ends_[0]);
  }
  ~HeldPair() {
    ::kill(tracer_, SIGKILL);  // Those that it traces die with it.
    ::waitpid(tracer_, nullptr, 0);
  }
  HeldPair(const HeldPair&) = delete;
  HeldPair& operator=(const HeldPair&) = delete;

  bool held() const { return held_; }

 private:
  [[noreturn]] void trace() const {
    ::alarm(60);
    ::close(ends_[0]);
    int master[2];
    if (::pipe(master) != 0) ::_exit(1);
    const pid_t supervisor = ::fork();
    if (supervisor == 0) {
      ::prctl(PR_SET_NAME, "sluice-super");
      const pid_t pid = ::fork();
      ::prctl(PR_SET_NAME, pid == 0 ? "sluice-master" : "sluice-super");
      const pid_t own = ::getpid();
      if (pid == 0 && ::write(master[1], &own, sizeof(own)) != sizeof(own)) ::_exit(1);
      wait_for_ever();
    }
    ::close(master[1]);
    pid_t of_master = 0;
    if (::read(master[0], &of_master, sizeof(of_master)) != sizeof(of_master)) ::_exit(1);
    for (const pid_t pid : {supervisor, of_master}) {
      if (::ptrace(PTRACE_SEIZE, pid, nullptr, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL) != 0) ::_exit(1);
    }
    if (::write(ends_[1], "", 1) != 1) ::_exit(1);
    wait_for_ever();
  }
  [[noreturn]] static void wait_for_ever() {
    ::alarm(60);
    while (true)
      ::pause();
  }

  int ends_[2] = {-1, -1};
  pid_t tracer_ = -1;
  bool held_ = false;
};

TEST(Dying, GuardianHasItsPartnerLeftAlone) {
  const HeldPair pair;
  if (!pair.held()) GTEST_SKIP() << "this kernel lets nobody trace its children";
  ChaosOptions options = no_chaos();
  options.rates = {200, 0, 0};
  Chaos chaos{options};
  const auto tick_until = [&chaos](auto time, bool (*enough)(const Chaos&)) {
    while (!enough(chaos) && std::chrono::steady_clock::now() < time) {
      chaos.tick();
      std::this_thread::sleep_for(1ms);
    }
  };
  tick_until(std::chrono::steady_clock::now() + 30s,
             [](const Chaos& now) { return now.count(Harm::kill) == 1; });
  ASSERT_EQ(chaos.count(Harm::kill), 1U) << chaos.summary();
  // A guardian that has died is given a second to be replaced.
  tick_until(std::chrono::steady_clock::now() + 2500ms, [](const Chaos&) { return false; });
  EXPECT_EQ(chaos.count(Harm::kill), 1U) << chaos.summary();
}

}  // namespace
}  // namespace sluice::test
