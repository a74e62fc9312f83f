// SPDX-License-Identifier: Apache-2.0
// Backtraces with names: of this program, and of processes that cannot help because they hang.

#include "death/backtrace.hpp"

#include <algorithm>
#include <cerrno>
#include <execinfo.h>
#include <string>
#include <sys/ptrace.h>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "processes.hpp"
#include "subjects.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr std::chrono::milliseconds kLimit{60'000};  // Reached only by a bug.

[[gnu::noinline]] std::vector<std::uintptr_t> asked_from_here() {
  void* frames[32];
  const int count = ::backtrace(frames, 32);
  std::vector<std::uintptr_t> addresses;
  addresses.reserve(32);
  for (int i = 0; i < count; ++i)
    addresses.push_back(reinterpret_cast<std::uintptr_t>(frames[i]));
  return addresses;
}

TEST(Symbolize, NamesFunctionAndModuleOfEachFrame) {
  const std::vector<std::uintptr_t> addresses = asked_from_here();
  const std::string text = symbolize(addresses);
  EXPECT_EQ(static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n')), addresses.size()) << text;
  EXPECT_THAT(text, AllOf(HasSubstr("asked_from_here()+0x"),
                          HasSubstr(std::string{" in "} + program_invocation_short_name + "\n"),
                          HasSubstr("Symbolize_NamesFunctionAndModuleOfEachFrame_Test::TestBody()")));
}

TEST(Symbolize, NamesFunctionsOfLibraries) {
  const auto address = reinterpret_cast<std::uintptr_t>(&::nanosleep);
  EXPECT_THAT(symbolize(std::span{&address, 1}), AllOf(HasSubstr("nanosleep+0x0"), HasSubstr("libc.so.6")));
}

TEST(Symbolize, GivesTheBareNumberOfWhatBelongsToNobody) {
  const std::uintptr_t addresses[] = {0x10, ~std::uintptr_t{0}};
  EXPECT_EQ(symbolize(addresses), "#0 0x10\n#1 0xffffffffffffffff\n");
  EXPECT_EQ(symbolize({}), "");
}

TEST(StacksOf, AProcessThatSpinsNameItsFunction) {
  const SharedWord turns;
  const Subject subject{[&] { spins_here(*turns); }};
  ASSERT_TRUE(eventually([&] { return turns->load() > 0; }));
  EXPECT_THAT(stacks_of(subject.pid(), kLimit), AllOf(HasSubstr("state R"), HasSubstr("spins_here")));
}

// A process in state S may sleep for other reasons on its way to the function that is meant, and one in that function be about to.
std::string stacks_once_they_name(const Subject& subject, const std::vector<std::string>& functions) {
  std::string text;
  EXPECT_TRUE(eventually([&] {
    text = stacks_of(subject.pid(), kLimit);
    return std::all_of(functions.begin(), functions.end(),
                       [&](const std::string& each) { return text.find(each) != std::string::npos; });
  })) << text;
  return text;
}

TEST(StacksOf, AProcessThatSleepsNameItsFunction) {
  const Subject subject{sleeps_here};
  stacks_once_they_name(subject, {"state S", "sleeps_here", "nanosleep"});
}

TEST(StacksOf, AProcessHoldThoseOfAllItsThreads) {
  const SharedWord turns;
  const Subject subject{[&] {
    std::thread other{[&] { spins_here(*turns); }};
    sleeps_here();
  }};
  stacks_once_they_name(subject, {"spins_here", "sleeps_here"});
}

TEST(StacksOf, AProcessAreReadWithoutItNoticing) {
  const SharedWord turns;
  const Subject subject{[&] { spins_here(*turns); }};
  ASSERT_TRUE(eventually([&] { return turns->load() > 0; }));
  for (int i = 0; i < 20; ++i) {
    EXPECT_THAT(stacks_of(subject.pid(), kLimit), HasSubstr("spins_here"));
    const std::uint64_t before = turns->load();
    EXPECT_TRUE(eventually([&] { return turns->load() > before; })) << "it goes on";
    EXPECT_EQ(subject.status("TracerPid"), "0");
  }
}

TEST(StacksOf, AStoppedProcessLeaveItStopped) {
  const SharedWord turns;
  const Subject subject{[&] { spins_here(*turns); }};
  ASSERT_TRUE(eventually([&] { return turns->load() > 0; }));
  ::kill(subject.pid(), SIGSTOP);
  ASSERT_TRUE(eventually([&] { return subject.state() == 'T'; }));
  EXPECT_THAT(stacks_of(subject.pid(), kLimit), HasSubstr("spins_here"));
  EXPECT_TRUE(eventually([&] { return subject.state() == 'T'; }));
  ::kill(subject.pid(), SIGCONT);
  const std::uint64_t before = turns->load();
  EXPECT_TRUE(eventually([&] { return turns->load() > before; }));
}

TEST(StacksOf, AProcessLoseNoSignalThatComesMeanwhile) {
  static std::atomic<std::uint64_t>* signals = nullptr;
  const SharedWord count;
  const SharedWord turns;
  signals = &*count;
  const Subject subject{[&] {
    std::signal(SIGRTMIN, [](int) { signals->fetch_add(1); });
    spins_here(*turns);
  }};
  ASSERT_TRUE(eventually([&] { return turns->load() > 0; }));
  std::uint64_t sent = 0;
  std::atomic<bool> over{false};
  std::thread sender{[&] {
    while (!over) {
      if (::kill(subject.pid(), SIGRTMIN) == 0) ++sent;  // Real-time signals are queued, each of them.
      std::this_thread::sleep_for(50us);
    }
  }};
  for (int i = 0; i < 10; ++i)
    EXPECT_THAT(stacks_of(subject.pid(), kLimit), HasSubstr("spins_here"));
  over = true;
  sender.join();
  EXPECT_TRUE(eventually([&] { return count->load() == sent; })) << count->load() << " of " << sent;
}

TEST(StacksOf, AProcessThatIsKilledMeanwhileLeaveItToItsParent) {
  const SharedWord turns;
  Subject subject{[&] { spins_here(*turns); }};
  ASSERT_TRUE(eventually([&] { return turns->load() > 0; }));
  const std::string text = stacks_of(subject.pid(), kLimit, [&] { ::kill(subject.pid(), SIGKILL); });
  EXPECT_THAT(text, HasSubstr("spins_here"));
  EXPECT_TRUE(subject.dead(kLimit));
}

TEST(StacksOf, AProcessThatIsGoneSaySo) {
  Subject subject{[] {}};
  ASSERT_TRUE(subject.dead(kLimit));
  subject.signal();
  EXPECT_THAT(stacks_of(subject.pid(), kLimit), HasSubstr("cannot be read: it is gone"));
}

TEST(StacksOf, AProcessThatADebuggerHoldsNameTheDebugger) {
  const Subject subject{sleeps_here};
  const SharedWord attached;
  const Subject debugger{[&] {
    if (::ptrace(PTRACE_SEIZE, subject.pid(), 0, 0) == 0) attached->store(1);
    sleeps_here();
  }};
  ASSERT_TRUE(eventually([&] { return attached->load() == 1; }));
  EXPECT_THAT(stacks_of(subject.pid(), kLimit),
              HasSubstr("process " + std::to_string(debugger.pid()) + " is tracing it"));
}

// The parent of a vfork() waits in state D until its child has ended.
TEST(StacksOf, AProcessInStateDAreGivenUpInTime) {
  const Subject subject{[] {
    const pid_t child = ::vfork();
    if (child == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      sleeps_here();
    }
  }};
  ASSERT_TRUE(eventually([&] { return subject.state() == 'D'; }));
  const SharedWord took_ms;
  const SharedWord said;
  Subject looker{[&] {
    const auto before = std::chrono::steady_clock::now();
    const std::string text = stacks_of(subject.pid(), 200ms);
    if (text.find("could not be stopped in time") != std::string::npos) said->store(1);
    took_ms->store(static_cast<std::uint64_t>((std::chrono::steady_clock::now() - before) / 1ms));
  }};
  ASSERT_TRUE(looker.dead(kLimit));
  EXPECT_EQ(said->load(), 1U);
  EXPECT_LT(took_ms->load(), 5'000U);
  EXPECT_TRUE(eventually([&] { return subject.status("TracerPid") == "0"; })) << "it was let go of";
}

}  // namespace
}  // namespace sluice::test
