// SPDX-License-Identifier: Apache-2.0
// Standing still as a mechanism of its own: asked for, reached, released. A park is one use of it.

#include <sys/prctl.h>

#include "host/host.hpp"
#include "master/standstill.hpp"
#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {

using namespace detail;
namespace {

TEST(Standstill, IsReachedAtACommitAndCanBeReleased) {
  Pipeline pipeline{"standstill"};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  Host host{pipeline.graph(), test_settings()};
  const Wiring& wiring = host.wiring();
  wiring.segment().own_everything();
  ipc::Control& own = wiring.host().control();
  DoorbellWaiter waiter{{}, own, wiring.bell(kHostProcess)};
  host.open_ends(waiter);
  constexpr WorkerIndex kEcho{0};
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    DoorbellWaiter its{{}, wiring.worker(kEcho).control(), wiring.bell(kEcho)};
    WorkerLoop loop{wiring, kEcho, its};
    while (loop.step() != WorkerLoop::Step::finished)
      loop.wait_for_input();
    ::_exit(0);
  }
  Children children;
  children.push_back(Child{kEcho, wiring.settings(), wiring.settings(kEcho)});
  children[kEcho].pid = pid;
  children[kEcho].pidfd = open_pidfd(pid);
  const auto committed = [&] { return wiring.worker(kEcho).commit().committed.load(); };
  HostInlet& in = host.inlet("in", EventType::of<Item>());
  Standstill standstill{wiring, children};
  for (std::uint32_t round = 0; round < 20; ++round) {
    EXPECT_FALSE(standstill.asked());
    EXPECT_FALSE(standstill.reached());
    standstill.ask();
    EXPECT_TRUE(eventually([&] { return standstill.reached(); }));
    const std::uint64_t before = committed();
    EXPECT_EQ(in.push(Item{0, round}), PushResult::accepted);
    std::this_thread::sleep_for(5ms);
    EXPECT_EQ(committed(), before) << "it stands still";
    standstill.release();
    EXPECT_TRUE(eventually([&] { return committed() > before; })) << "and goes on";
  }
  in.close();
  EXPECT_TRUE(eventually([&] { return ::waitpid(pid, nullptr, WNOHANG) == pid; }));
}

}  // namespace
}  // namespace sluice::test
