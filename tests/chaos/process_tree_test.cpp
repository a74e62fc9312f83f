// SPDX-License-Identifier: Apache-2.0
// Who of a program's processes is what to its pipeline: by name and parent, and then by looking at real ones.
#include "process_tree.hpp"

#include <algorithm>
#include <csignal>
#include <sys/prctl.h>

#include "../engine/pipelines.hpp"
#include "../engine/processes.hpp"
#include "support/foreign_locale.hpp"

namespace sluice::test {

using namespace detail;
namespace {

TEST(ProcessKind, OfAnOrdinaryProcessIsOrdinaryUnlessItsNameSaysOtherwise) {
  EXPECT_EQ(kind_of("market", ProcessKind::other), ProcessKind::other);
  EXPECT_EQ(kind_of("sluice", ProcessKind::other), ProcessKind::other);
  EXPECT_EQ(kind_of("sluice-master", ProcessKind::other), ProcessKind::master);
  EXPECT_EQ(kind_of("sluice-super", ProcessKind::other), ProcessKind::supervisor);
}

TEST(ProcessKind, OfAMastersChildIsAWorkerOnceItHasANameOfItsOwn) {
  EXPECT_EQ(kind_of("sluice-master", ProcessKind::master), ProcessKind::newborn);
  EXPECT_EQ(kind_of("sluice-standby", ProcessKind::master), ProcessKind::standby);
  EXPECT_EQ(kind_of("sluice-dumper", ProcessKind::master), ProcessKind::dumper);
  EXPECT_EQ(kind_of("parse/0", ProcessKind::master), ProcessKind::worker);
  EXPECT_EQ(kind_of("a-stage-of-a-lo", ProcessKind::master), ProcessKind::worker) << "cut at 15 letters";
  EXPECT_EQ(kind_of("sluice-super", ProcessKind::master), ProcessKind::supervisor);
}

TEST(ProcessKind, OfASupervisorsChildIsAMasterOrAnAdoptedOrphan) {
  EXPECT_EQ(kind_of("sluice-super", ProcessKind::supervisor), ProcessKind::newborn);
  EXPECT_EQ(kind_of("sluice-master", ProcessKind::supervisor), ProcessKind::master);
  EXPECT_EQ(kind_of("parse/0", ProcessKind::supervisor), ProcessKind::worker);
}

TEST(ProcessKind, OfAnOrphanIsKnownByTheNameOfAWorker) {
  EXPECT_EQ(kind_of("parse/10", ProcessKind::other), ProcessKind::worker);
  for (const char* name : {"parse/", "/0", "parse/x", "parse", "0", ""})
    EXPECT_EQ(kind_of(name, ProcessKind::other), ProcessKind::other) << name;
}

TEST(ProcessKind, OfWhatAHandlerHasStartedIsNoneOfThePipelines) {
  EXPECT_EQ(kind_of("parse/0", ProcessKind::worker), ProcessKind::other);
  EXPECT_EQ(kind_of("sluice-master", ProcessKind::worker), ProcessKind::other);
}

TEST(ProcessKind, OfAnMmPinIsNoneOfThePipelinesWhoeverHasIt) {
  for (const ProcessKind parent :
       {ProcessKind::worker, ProcessKind::standby, ProcessKind::supervisor, ProcessKind::other})
    EXPECT_EQ(kind_of("sluice-mm-pin", parent), ProcessKind::other);
}

class PipelineProcess : public WithProcesses {};

TEST_F(PipelineProcess, IsFoundWithItsKindAndNeverTheHost) {
  Engine engine{counting_pipeline(3), test_settings()};
  engine.start();
  PipelineProcesses processes;
  std::map<ProcessKind, int> counts;
  const auto count = [&] {
    counts.clear();
    for (const FoundProcess& process : processes.look(::getpid())) {
      EXPECT_NE(process.pid, ::getpid());
      ++counts[process.kind];
    }
    return counts[ProcessKind::worker] == 3 && counts[ProcessKind::master] == 1 &&
           counts[ProcessKind::supervisor] == 1 && counts[ProcessKind::standby] == 1 &&
           counts[ProcessKind::log_writer] == 1;
  };
  EXPECT_TRUE(eventually(count));
  engine.stop();
  EXPECT_TRUE(eventually([&] { return processes.look(::getpid()).empty(); }));
}

TEST_F(PipelineProcess, IsFoundInAProgramOfAnyLocale) {
  const ForeignNumbers french;
  Engine engine{counting_pipeline(3), test_settings()};
  engine.start();
  PipelineProcesses processes;
  EXPECT_TRUE(eventually([&] {
    const auto& found = processes.look(::getpid());
    return std::count_if(found.begin(), found.end(), [](const FoundProcess& process) {
             return process.kind == ProcessKind::worker;
           }) == 3;
  }));
  engine.stop();
}

// Children of the test that call themselves as a pipeline's processes do: one that only the kernel knows as
// such, and one whose parent dies.
TEST_F(PipelineProcess, StaysKnownWhenItsParentDies) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const pid_t parent = ::fork();
  if (parent == 0) {
    ::prctl(PR_SET_NAME, "sluice-master");
    const pid_t child = ::fork();
    ::prctl(PR_SET_NAME, child == 0 ? "a-stage-of-a-long-name/0" : "sluice-master");
    if (child == 0 && ::write(ends[1], "", 1) != 1) ::_exit(1);
    ::alarm(60);
    while (true)
      ::pause();
  }
  char byte = 0;
  ASSERT_EQ(::read(ends[0], &byte, 1), 1);
  PipelineProcesses processes;
  ASSERT_EQ(processes.look(::getpid()).size(), 2U);
  ASSERT_EQ(::kill(parent, SIGKILL), 0);
  ASSERT_EQ(::waitpid(parent, nullptr, 0), parent);
  const std::vector<FoundProcess>& left = processes.look(::getpid());
  ASSERT_EQ(left.size(), 1U);
  EXPECT_EQ(left.front().kind, ProcessKind::worker);
  EXPECT_EQ(left.front().name, "a-stage-of-a-lo");
  EXPECT_TRUE(send_signal(left.front().pidfd, SIGKILL));
  EXPECT_TRUE(eventually([&] { return processes.look(::getpid()).empty(); }));
  ::close(ends[0]);
  ::close(ends[1]);
}

}  // namespace
}  // namespace sluice::test
