// SPDX-License-Identifier: Apache-2.0
// The coroner: reports are written while its caller goes on, and a condemned process dies in the event that
// it is condemned for, or not at all.

#include "death/coroner.hpp"

#include <filesystem>
#include <sys/epoll.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "processes.hpp"
#include "subjects.hpp"

namespace sluice::test {

using namespace detail;
namespace {

using testing::AllOf;
using testing::EndsWith;
using testing::HasSubstr;
using testing::SizeIs;
using testing::StartsWith;

class Coroners : public WithProcesses {
 protected:
  void SetUp() override {
    path_ = testing::TempDir() + "coroner-" + std::to_string(::getpid()) + ".jsonl";
    std::filesystem::remove(path_);
  }
  void TearDown() override {
    coroner_.finish(1s);
    std::filesystem::remove(path_);
    WithProcesses::TearDown();
  }
  std::vector<std::string> lines() const {
    std::ifstream file{path_};
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);)
      lines.push_back(line);
    return lines;
  }
  Coroner::Finished finished() {
    std::optional<Coroner::Finished> one;
    EXPECT_TRUE(eventually([&] { return (one = coroner_.next_finished()).has_value(); }));
    return one.value_or(Coroner::Finished{});
  }

  std::string path_;
  Coroner coroner_;
};

TEST_F(Coroners, WriteALineOfWhatIsKnownAtOnceWhenThereIsNothingToFindOut) {
  EXPECT_FALSE(coroner_.examine({.fields_json = R"("worker":"parse/0","signal":9)"}, path_));
  EXPECT_THAT(lines(), testing::ElementsAre(R"({"worker":"parse/0","signal":9})"));
}

TEST_F(Coroners, WriteNothingWithoutAFile) {
  EXPECT_FALSE(coroner_.examine({.fields_json = "\"a\":1", .pid = ::getpid()}, ""));
}

TEST_F(Coroners, GiveNamesToABacktrace) {
  const std::uintptr_t frames[] = {reinterpret_cast<std::uintptr_t>(&::nanosleep)};
  EXPECT_TRUE(coroner_.examine({.fields_json = R"("signal":11)", .addresses = frames}, path_));
  EXPECT_EQ(finished().outcome, Coroner::Outcome::reported);
  ASSERT_THAT(lines(), SizeIs(1));
  EXPECT_THAT(lines()[0], AllOf(StartsWith(R"({"signal":11,"backtrace":["#0 )"), HasSubstr("nanosleep+0x0"),
                                EndsWith("\"]}")));
}

TEST_F(Coroners, TakeTheStacksOfALivingProcessAndLetItLive) {
  const Subject subject{sleeps_here};
  ASSERT_TRUE(eventually([&] { return subject.state() == 'S'; }));
  EXPECT_TRUE(coroner_.examine({.pid = subject.pid(), .pidfd = subject.pidfd()}, path_));
  const Coroner::Finished end = finished();
  EXPECT_EQ(end.outcome, Coroner::Outcome::reported);
  EXPECT_EQ(end.pid, subject.pid());
  ASSERT_THAT(lines(), SizeIs(1));
  EXPECT_THAT(lines()[0], AllOf(StartsWith(R"({"stacks":["thread )"), HasSubstr("sleeps_here")));
  EXPECT_FALSE(subject.dead());
}

TEST_F(Coroners, KillACondemnedProcessOnceItsStacksAreTaken) {
  const SharedWord turns;
  const SharedWord progress;
  *progress = 7;
  Subject subject{[&] { spins_here(*turns); }};
  ASSERT_TRUE(eventually([&] { return turns->load() > 0; }));
  EXPECT_TRUE(coroner_.examine(
      {.pid = subject.pid(), .pidfd = subject.pidfd(), .sentence = Sentence{&*progress, 7}}, path_));
  ASSERT_TRUE(subject.dead(kDeadline));
  EXPECT_EQ(subject.signal(), SIGKILL) << "its parent can reap it";
  EXPECT_EQ(finished().outcome, Coroner::Outcome::reported);
  ASSERT_THAT(lines(), SizeIs(1));
  EXPECT_THAT(lines()[0], HasSubstr("spins_here"));
}

TEST_F(Coroners, SpareACondemnedProcessThatHasMovedOn) {
  const SharedWord turns;
  const SharedWord progress;
  *progress = 8;
  const Subject subject{[&] { spins_here(*turns); }};
  ASSERT_TRUE(eventually([&] { return turns->load() > 0; }));
  EXPECT_TRUE(coroner_.examine(
      {.pid = subject.pid(), .pidfd = subject.pidfd(), .sentence = Sentence{&*progress, 7}}, path_));
  EXPECT_EQ(finished().outcome, Coroner::Outcome::spared);
  EXPECT_THAT(lines()[0], EndsWith(R"("spared":true})"));
  const std::uint64_t before = turns->load();
  EXPECT_TRUE(eventually([&] { return turns->load() > before; }));
}

TEST_F(Coroners, LoseNoReportWhenTooMuchIsGoingOn) {
  const Subject subject{sleeps_here};
  std::size_t elsewhere = 0;
  constexpr std::size_t kAll = 30;
  for (std::size_t i = 0; i < kAll; ++i) {
    const std::string fields = "\"number\":" + std::to_string(i);
    if (coroner_.examine({.fields_json = fields, .pid = subject.pid(), .pidfd = subject.pidfd()}, path_))
      ++elsewhere;
  }
  EXPECT_GT(elsewhere, 0U);
  for (std::size_t i = 0; i < elsewhere; ++i)
    finished();
  ASSERT_THAT(lines(), SizeIs(kAll));
  for (const std::string& line : lines())
    EXPECT_THAT(line, AllOf(StartsWith("{\"number\":"), EndsWith("]}")));
}

TEST_F(Coroners, ShowTheirEndInAnEpoll) {
  const Descriptor epoll{::epoll_create1(EPOLL_CLOEXEC)};
  coroner_.show_in(epoll.get(), 77);
  const Subject subject{sleeps_here};
  ASSERT_TRUE(coroner_.examine({.pid = subject.pid(), .pidfd = subject.pidfd()}, path_));
  epoll_event event{};
  ASSERT_EQ(::epoll_wait(epoll.get(), &event, 1, static_cast<int>(kDeadline / 1ms)), 1);
  EXPECT_EQ(event.data.u64, 77U);
  EXPECT_TRUE(coroner_.next_finished());
  EXPECT_FALSE(coroner_.next_finished());
  EXPECT_EQ(::epoll_wait(epoll.get(), &event, 1, 0), 0) << "each end shows once";
}

TEST_F(Coroners, EscapeWhatJsonDoesNotTake) {
  const std::string name = "a\"b\\c";
  Subject subject{[&] {
    ::prctl(PR_SET_NAME, name.c_str());
    sleeps_here();
  }};
  ASSERT_TRUE(eventually([&] { return subject.status("Name").substr(0, 2) == "a\""; }));
  ASSERT_TRUE(coroner_.examine({.pid = subject.pid(), .pidfd = subject.pidfd()}, path_));
  finished();
  EXPECT_THAT(lines().at(0), HasSubstr(R"(a\"b\\c)"));
}

}  // namespace
}  // namespace sluice::test
