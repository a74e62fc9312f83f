// SPDX-License-Identifier: Apache-2.0
// Workers that share a processing unit: whether one that is woken may interrupt the other.

#include <sched.h>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

class Sharing : public WithProcesses {};

class TellsItsPolicy {
 public:
  void operator()(const std::uint32_t&, Output<int>& out) { out.push(::sched_getscheduler(0)); }
};

// The scheduling policies of workers, of which there are more than processing units.
std::vector<int> policies(const std::string& preempt) {
  if (::sched_getscheduler(0) != SCHED_OTHER) return {};
  Settings settings = pinned_settings();
  settings.set("wait.preempt", preempt);
  const auto workers = static_cast<unsigned>(::sysconf(_SC_NPROCESSORS_ONLN)) + 1;
  Pipeline pipeline{"sharing"};
  pipeline.inlet<std::uint32_t>("in").to<TellsItsPolicy>("tell", {.workers = workers}).outlet("out");
  return run_processes<int>(pipeline, std::vector<std::uint32_t>(workers), settings);
}

TEST_F(Sharing, WorkersWaitForTheirTurnUnlessToldOtherwise) {
  EXPECT_THAT(policies("no"), testing::Each(SCHED_BATCH));
}

TEST_F(Sharing, WorkersThatAreWokenInterruptTheOthersIfToldTo) {
  EXPECT_THAT(policies("yes"), testing::Each(SCHED_OTHER));
}

}  // namespace
}  // namespace sluice::test
