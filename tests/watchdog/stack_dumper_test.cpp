// SPDX-License-Identifier: Apache-2.0
// The report log and the stack dumper: reports are written while the master goes on, and a process whose
// stacks are taken stands still until the master has said whether it is killed.

#include "death/stack_dumper.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sys/epoll.h>
#include <thread>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "processes.hpp"
#include "subjects.hpp"
#include "support/clear_away.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

class StackDumps : public WithProcesses {
 protected:
  void SetUp() override { clear_away(directory_); }
  void TearDown() override {
    dumper_.finish(1s);
    clear_away(directory_);
    WithProcesses::TearDown();
  }
  std::vector<std::string> lines() const {
    std::ifstream file{path_};
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);)
      lines.push_back(line);
    return lines;
  }
  StackDumper::Event next() {
    std::optional<StackDumper::Event> one;
    EXPECT_TRUE(eventually([&] { return (one = dumper_.next_event()).has_value(); }));
    return one.value_or(StackDumper::Event{});
  }
  // To the end of the dump of `pid`; the master says whether it has killed it.
  void await_dump(pid_t pid, const std::function<bool()>& killed) {
    const StackDumper::Event captured = next();
    ASSERT_EQ(captured.what, StackDumper::What::captured);
    EXPECT_EQ(captured.pid, pid);
    dumper_.answer(pid, killed());
    const StackDumper::Event ended = next();
    EXPECT_EQ(ended.what, StackDumper::What::ended);
    EXPECT_EQ(ended.pid, pid);
  }

  std::string directory_{testing::TempDir() + "stack-dumper-" + std::to_string(::getpid())};
  std::string path_{directory_ + "/deaths.jsonl"};
  ReportLog log_{path_};
  StackDumper dumper_{log_, [] {}};
};

TEST_F(StackDumps, LeaveALineOfWhatIsKnownToTheLog) {
  EXPECT_TRUE(log_.append(R"("worker":"parse/0","signal":9)"));
  EXPECT_TRUE(log_.append(R"("signal":9)", R"("more":1)"));
  EXPECT_THAT(lines(),
              testing::ElementsAre(R"({"worker":"parse/0","signal":9})", R"({"signal":9,"more":1})"));
}

TEST_F(StackDumps, SayWhenTheLogCannotBeWritten) {
  EXPECT_FALSE(ReportLog{"/proc/no/such/file"}.append("\"a\":1"));
}

TEST_F(StackDumps, GiveNamesToABacktrace) {
  const std::uintptr_t frames[] = {reinterpret_cast<std::uintptr_t>(&::nanosleep)};
  dumper_.report_backtrace(R"("signal":11)", frames);
  EXPECT_EQ(next().what, StackDumper::What::ended);
  ASSERT_THAT(lines(), SizeIs(1));
  EXPECT_THAT(lines()[0], AllOf(StartsWith(R"({"signal":11,"backtrace":["#0 )"), HasSubstr("nanosleep+0x0"),
                                EndsWith("\"]}")));
}

TEST_F(StackDumps, TakeTheStacksOfALivingProcessThatGoesOnWhenTheMasterLetsIt) {
  const SharedWord turns;
  const Subject subject{[&] { spins_here(*turns); }};
  ASSERT_TRUE(eventually([&] { return turns->load() > 0; }));
  ASSERT_TRUE(dumper_.dump({}, subject.pid(), subject.pidfd()));
  await_dump(subject.pid(), [] { return false; });
  ASSERT_THAT(lines(), SizeIs(1));
  EXPECT_THAT(lines()[0], AllOf(StartsWith(R"({"stacks":["thread )"), HasSubstr("spins_here"),
                                EndsWith(R"("spared":true})")));
  const std::uint64_t before = turns->load();
  EXPECT_TRUE(eventually([&] { return turns->load() > before; }));
  EXPECT_FALSE(subject.dead());
}

TEST_F(StackDumps, HoldAProcessStillUntilTheMasterHasKilledIt) {
  const SharedWord turns;
  Subject subject{[&] { spins_here(*turns); }};
  ASSERT_TRUE(eventually([&] { return turns->load() > 0; }));
  ASSERT_TRUE(dumper_.dump({}, subject.pid(), subject.pidfd()));
  await_dump(subject.pid(), [&] {
    const std::uint64_t before = turns->load();
    std::this_thread::sleep_for(50ms);
    EXPECT_EQ(turns->load(), before) << "it stands still";
    return ::kill(subject.pid(), SIGKILL) == 0;
  });
  ASSERT_TRUE(subject.dead(kDeadline));
  EXPECT_EQ(subject.signal(), SIGKILL) << "its parent can reap it";
  ASSERT_THAT(lines(), SizeIs(1));
  EXPECT_THAT(lines()[0], AllOf(HasSubstr("spins_here"), testing::Not(HasSubstr("spared"))));
}

TEST_F(StackDumps, LetGoOfAProcessWhenTheMasterDoesNotAnswer) {
  const SharedWord turns;
  const Subject subject{[&] { spins_here(*turns); }};
  ASSERT_TRUE(eventually([&] { return turns->load() > 0; }));
  ASSERT_TRUE(dumper_.dump({}, subject.pid(), subject.pidfd()));
  ASSERT_EQ(next().what, StackDumper::What::captured);
  const std::uint64_t before = turns->load();
  EXPECT_TRUE(eventually([&] { return turns->load() > before; }));
  EXPECT_EQ(next().what, StackDumper::What::ended);
  EXPECT_THAT(lines().at(0), testing::Not(HasSubstr("spared")));
}

TEST_F(StackDumps, LetGoOfTheProcessThatTheyHoldWhenTheyAreKilled) {
  const SharedWord turns;
  const Subject subject{[&] { spins_here(*turns); }};
  ASSERT_TRUE(eventually([&] { return turns->load() > 0; }));
  const std::vector<pid_t> before = children_of(::getpid());
  ASSERT_TRUE(dumper_.dump({}, subject.pid(), subject.pidfd()));
  ASSERT_EQ(next().what, StackDumper::What::captured);
  for (const pid_t child : children_of(::getpid())) {
    if (std::find(before.begin(), before.end(), child) == before.end()) ::kill(child, SIGKILL);
  }
  EXPECT_EQ(next().what, StackDumper::What::ended);
  EXPECT_THAT(lines(), testing::ElementsAre(HasSubstr("the examination did not end in time")));
  const std::uint64_t held_at = turns->load();
  EXPECT_TRUE(eventually([&] { return turns->load() > held_at; }));
  EXPECT_EQ(subject.status("TracerPid"), "0");
}

TEST_F(StackDumps, LoseNoReportWhenTooMuchIsGoingOn) {
  const Subject subject{sleeps_here};
  std::size_t elsewhere = 0;
  constexpr std::size_t kAll = 30;
  for (std::size_t i = 0; i < kAll; ++i)
    elsewhere += dumper_.dump("\"number\":" + std::to_string(i), subject.pid(), subject.pidfd()) ? 1 : 0;
  EXPECT_GT(elsewhere, 0U);
  while (elsewhere > 0) {
    const StackDumper::Event event = next();
    if (event.what == StackDumper::What::captured) dumper_.answer(event.pid, false);
    if (event.what == StackDumper::What::ended) --elsewhere;
  }
  ASSERT_THAT(lines(), SizeIs(kAll));
  for (const std::string& line : lines())
    EXPECT_THAT(line, AllOf(StartsWith("{\"number\":"), EndsWith("}")));
}

TEST_F(StackDumps, ShowWhatHappensToThemInAnEpoll) {
  const Descriptor epoll{::epoll_create1(EPOLL_CLOEXEC)};
  dumper_.show_in(epoll.get(), 77);
  const Subject subject{sleeps_here};
  ASSERT_TRUE(dumper_.dump({}, subject.pid(), subject.pidfd()));
  epoll_event event{};
  const auto shows = [&] {
    return ::epoll_wait(epoll.get(), &event, 1, static_cast<int>(kDeadline / 1ms)) == 1;
  };
  ASSERT_TRUE(shows());
  EXPECT_EQ(event.data.u64, 77U);
  EXPECT_EQ(next().what, StackDumper::What::captured);
  dumper_.answer(subject.pid(), false);
  ASSERT_TRUE(shows());
  EXPECT_EQ(next().what, StackDumper::What::ended);
  EXPECT_FALSE(dumper_.next_event());
  EXPECT_EQ(::epoll_wait(epoll.get(), &event, 1, 0), 0) << "each end shows once";
}

TEST_F(StackDumps, EscapeWhatJsonDoesNotTake) {
  const std::string name = "a\"b\\c";
  Subject subject{[&] {
    ::prctl(PR_SET_NAME, name.c_str());
    sleeps_here();
  }};
  ASSERT_TRUE(eventually([&] { return subject.status("Name").substr(0, 2) == "a\""; }));
  ASSERT_TRUE(dumper_.dump({}, subject.pid(), subject.pidfd()));
  await_dump(subject.pid(), [] { return false; });
  EXPECT_THAT(lines().at(0), HasSubstr(R"(a\"b\\c)"));
}

}  // namespace
}  // namespace sluice::test
