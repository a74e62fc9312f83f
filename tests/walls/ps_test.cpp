// SPDX-License-Identifier: Apache-2.0
// `sluice ps --json`: what programs get of the pipelines that run.
#include <cstdio>
#include <sys/wait.h>

#include "ipc/child.hpp"
#include "watched.hpp"

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

std::string said_by_ps() {
  FILE* pipe = ::popen("'" SLUICE_PROGRAM "' ps --json 2>&1", "r");
  if (pipe == nullptr) return {};
  std::string text;
  char piece[4096];
  for (std::size_t got = 0; (got = std::fread(piece, 1, sizeof(piece), pipe)) > 0;)
    text.append(piece, got);
  EXPECT_EQ(::pclose(pipe), 0);
  return text;
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
  const std::string text = said_by_ps();
  EXPECT_THAT(text, MatchesRegex("\\{\"schema\":1,\"pipelines\":\\[\\{.*\\}\\]\\}\n"));
  const std::string pid = "." + std::to_string(::getpid());
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

TEST_F(PsJson, TellsAnotherUserNothing) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can become a user that runs nothing";
  const Watched run{settings("auto")};
  constexpr int kNoAccess = 77;
  ipc::test::Child nobody{[] {
    if (::setgid(kNobody) != 0 || ::setuid(kNobody) != 0) return 3;
    if (::access(SLUICE_PROGRAM, X_OK) != 0) return kNoAccess;
    return said_by_ps() == "{\"schema\":1,\"pipelines\":[]}\n" ? 0 : 1;
  }};
  const std::string ending = nobody.ending();
  if (ending == "exit 77") GTEST_SKIP() << "other users cannot get at the program";
  EXPECT_EQ(ending, "exit 0");
}

}  // namespace
}  // namespace sluice::test
