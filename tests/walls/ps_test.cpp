// SPDX-License-Identifier: Apache-2.0
// `sluice ps --json`: what programs get of the pipelines that run. `sluice stats --workers`: what people do.
#include <chrono>
#include <csignal>
#include <cstdio>
#include <iterator>
#include <sstream>
#include <sys/wait.h>
#include <vector>

#include "http_client.hpp"

namespace sluice::test {
namespace {

using testing::HasSubstr;
using testing::MatchesRegex;

// All of it, in its only shape: a program that knows the schema reads nothing else.
constexpr const char* kProcess =
    R"(\{"name":"[^"]+","kind":"[a-z -]+","pid":([0-9]+|null),"state":"[a-z ]+","place":"[0-9,-]*",)"
    R"("cpu_seconds":([0-9]+\.[0-9]{3}|null),"own_bytes":([0-9]+|null)\})";

std::string listed_of(const std::string& pipeline) {
  const std::string process = kProcess;
  return R"(\{"pipeline":")" + pipeline +
         R"(","socket":"[^"]+","error":null,"state":"running","version":"[^"]+",)" + R"("processes":\[)" +
         process + "(," + process + R"()*\]\})";
}

// The object of that pipeline: what others run is listed as well.
std::string object_of(const std::string& text, const std::string& pipeline) {
  const std::size_t from = text.find(R"({"pipeline":")" + pipeline + "\"");
  if (from == std::string::npos) return {};
  return text.substr(from, text.find("]}", from) + 2 - from);
}

std::string process_text(const WorkerStats& worker) {
  return R"({"name":")" + worker.name + R"(","kind":"worker","pid":)" + std::to_string(worker.pid) +
         R"(,"state":")";
}

class PsJson : public WithSocket {};

TEST_F(PsJson, HasEachProcessOfTwoPipelinesAtOnce) {
  const Watched one{settings("auto")};
  Pipeline second{"second"};
  second.inlet<Item>("in").to<Echo>("echo").outlet("out");
  Engine other{second, settings("auto")};
  other.start();
  const std::string pid = "." + std::to_string(::getpid());
  // A standby is made once the pipeline is at work.
  std::string text;
  EXPECT_TRUE(eventually([&] {
    text = said_by("ps --json");
    const std::string standby = R"("kind":"standby")";
    return object_of(text, "counting" + pid).find(standby) != std::string::npos &&
           object_of(text, "second" + pid).find(standby) != std::string::npos;
  })) << text;
  EXPECT_THAT(text, MatchesRegex("\\{\"schema\":1,\"pipelines\":\\[\\{.*\\}\\]\\}\n"));
  const std::string counting = object_of(text, "counting" + pid);
  const std::string echoing = object_of(text, "second" + pid);
  EXPECT_THAT(counting, MatchesRegex(listed_of("counting\\" + pid)));
  EXPECT_THAT(echoing, MatchesRegex(listed_of("second\\" + pid)));
  const Stats stats = one.engine.stats();
  for (const WorkerStats& worker : stats.stages.at(0).workers)
    EXPECT_THAT(counting, HasSubstr(process_text(worker)));
  EXPECT_THAT(echoing, HasSubstr(process_text(other.stats().stages.at(0).workers.at(0))));
  for (const char* kind : {"host", "supervisor", "master", "log writer", "standby"}) {
    EXPECT_THAT(counting, HasSubstr("\"kind\":\"" + std::string{kind} + "\"")) << kind;
    EXPECT_THAT(echoing, HasSubstr("\"kind\":\"" + std::string{kind} + "\"")) << kind;
  }
  EXPECT_THAT(counting, HasSubstr("\"kind\":\"host\",\"pid\":" + std::to_string(::getpid()) + ","));
  EXPECT_THAT(counting, HasSubstr("\"kind\":\"supervisor\",\"pid\":" + std::to_string(stats.supervisor)));
  other.stop();
}

// Its processes are stopped, say: what others run is listed all the same, and soon.
TEST_F(PsJson, SaysWhichPipelineDoesNotAnswer) {
  const Watched run{settings("auto")};
  const std::string pid = "." + std::to_string(::getpid());
  const detail::Descriptor mute = listening_at(directory_ / "sluice" / ("mute" + pid + ".sock"));
  const auto before = std::chrono::steady_clock::now();
  const std::string text = said_by("ps --json");
  EXPECT_LT(std::chrono::steady_clock::now() - before, kDeadline) << "it looks at it once";
  EXPECT_THAT(object_of(text, "counting" + pid), HasSubstr(R"("error":null)"));
  EXPECT_THAT(text,
              MatchesRegex(R"(.*"pipeline":"mute\)" + pid + R"(","socket":"[^"]+","error":"[^"]+"\}.*)"));
}

// Root lists what other users have in their directories, and a shell completes it.
TEST_F(PsJson, ListsNoSocketWhoseNameNoPipelineHasMade) {
  const Watched run{settings("auto")};
  const detail::Descriptor odd = listening_at(directory_ / "sluice" / "$(reboot).1.sock");
  const detail::Descriptor driving = listening_at(directory_ / "sluice" / "\x1b[2J.1.sock");
  const std::string text = said_by("ps --json");
  EXPECT_THAT(text, HasSubstr(R"("pipeline":"counting.)"));
  EXPECT_THAT(text, testing::Not(testing::AnyOf(HasSubstr("reboot"), HasSubstr("2J"))));
}

TEST_F(PsJson, TellsAnotherUserNothing) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become a user that runs nothing";
  const Watched run{settings("auto")};
  constexpr int kNoAccess = 77;
  ipc::test::Child nobody{[] {
    if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) return 3;
    if (::access(SLUICE_PROGRAM, X_OK) != 0) return kNoAccess;
    return said_by("ps --json") == "{\"schema\":1,\"pipelines\":[]}\n" ? 0 : 1;
  }};
  const std::string ending = nobody.ending();
  if (ending == "exit 77") GTEST_SKIP() << "other users cannot get at the program";
  EXPECT_EQ(ending, "exit 0");
}

std::vector<std::string> words_of_line(const std::string& text, const std::string& first) {
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words{line};
    std::vector<std::string> found{std::istream_iterator<std::string>{words}, {}};
    if (!found.empty() && found.front() == first) return found;
  }
  return {};
}

class StatsCommand : public WithSocket {};

TEST_F(StatsCommand, HasALineOf80ColumnsForEachWorkerWithItsCpuAndWhatWaitsForIt) {
  Watched run{settings()};
  const WorkerStats worker = worker_of(run.engine, "count/0");
  ASSERT_EQ(::kill(worker.pid, SIGSTOP), 0);
  ASSERT_TRUE(eventually([&] { return is_stopped(worker.pid); }));
  auto in = run.engine.inlet<Item>("in");
  std::uint32_t pushed = 0;
  for (std::uint32_t key = 0; key < 16; ++key)
    pushed += in.try_push({key, 1}) == PushResult::accepted ? 1 : 0;
  EXPECT_EQ(pushed, 16U);
  // The other one has handled what was its own.
  EXPECT_TRUE(eventually([&] { return worker_of(run.engine, "count/1").occupancy == 0; }));
  std::string text;
  std::vector<std::string> words;
  EXPECT_TRUE(eventually([&] {
    text = said_by("stats " + socket_ + " --workers");
    words = words_of_line(text, "count/0");
    return !words.empty() && words.back() == "stopped";
  })) << text;
  const std::vector<std::string> heading = words_of_line(text, "worker");
  EXPECT_EQ(heading, (std::vector<std::string>{"worker", "pid", "events", "rate", "busy", "wait", "full",
                                               "cpu", "queued", "mem", "state"}));
  EXPECT_EQ(words.at(1), std::to_string(worker.pid));
  EXPECT_EQ(words.at(2), std::to_string(worker.events_in));
  EXPECT_THAT(words.at(words.size() - 4), testing::EndsWith("%")) << text;
  EXPECT_GT(std::stoi(words.at(words.size() - 3)), 0) << text;
  EXPECT_EQ(words_of_line(text, "count/1").at(words.size() - 3), "0") << text;
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);)
    EXPECT_LE(line.size(), 80U) << line;
  ASSERT_EQ(::kill(worker.pid, SIGCONT), 0);
}

TEST_F(StatsCommand, HasRoomForTheLongerWordsOfAState) {
  Watched run{settings()};
  auto in = run.engine.inlet<Item>("in");
  // Nobody pulls.
  ASSERT_TRUE(eventually([&] {
    for (std::uint32_t key = 0; key < 64; ++key)
      static_cast<void>(in.try_push({key, 1}));
    return worker_of(run.engine, "count/0").verdict == "back-pressured";
  }));
  const std::string text = said_by("stats " + socket_ + " --workers");
  EXPECT_THAT(text, testing::ContainsRegex("\ncount/0 .*  back-pressured\n"));
  std::istringstream lines{text};
  for (std::string line; std::getline(lines, line);) {
    // Sentences are folded on a terminal.
    if (!line.starts_with("count/")) continue;
    EXPECT_LE(line.size(), 80U) << line;
  }
}

}  // namespace
}  // namespace sluice::test
