// SPDX-License-Identifier: Apache-2.0
// A pipeline is started by a process of one thread, and a thread that is as good as gone is none.
#include <chrono>
#include <thread>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

using testing::HasSubstr;

using StartEdges = WithProcesses;

Pipeline echo_of_threads() {
  Pipeline pipeline{"threads"};
  pipeline.inlet<Item>("in").to<Echo>("echo").outlet("out");
  return pipeline;
}

std::string error_of_start_beside(std::chrono::milliseconds life) {
  Engine engine{echo_of_threads(), test_settings()};
  std::thread other{[life] { std::this_thread::sleep_for(life); }};
  std::string error = error_of([&engine] { engine.start(); });
  other.join();
  return error;
}

// As one does that was joined and has not left the kernel yet, but long enough to be seen each time.
TEST_F(StartEdges, LookAgainForAThreadThatEndsJustNow) {
  EXPECT_EQ(error_of_start_beside(std::chrono::milliseconds{5}), "");
}

TEST_F(StartEdges, RefuseAThreadThatStays) {
  EXPECT_THAT(error_of_start_beside(std::chrono::milliseconds{500}), HasSubstr("2 threads"));
}

}  // namespace
}  // namespace sluice::test
