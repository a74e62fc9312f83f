// SPDX-License-Identifier: Apache-2.0
// A pipeline is started by a process of one thread, and a thread that is as good as gone is none.
#include <chrono>
#include <future>
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

// Of a start beside a thread that ends when it is over, or after its life.
std::string error_of_start_beside(std::chrono::milliseconds life) {
  Engine engine{echo_of_threads(), test_settings()};
  std::promise<void> over;
  std::thread other{[life, started = over.get_future()] { started.wait_for(life); }};
  std::string error = error_of([&engine] { engine.start(); });
  over.set_value();
  other.join();
  return error;
}

// As one does that was joined and has not left the kernel yet, but long enough to be seen each time.
TEST_F(StartEdges, LookAgainForAThreadThatEndsJustNow) {
  // On a busy machine it may get no processor for its end.
  std::string error = "not tried";
  for (int attempt = 0; attempt < 10 && !error.empty(); ++attempt)
    error = error_of_start_beside(std::chrono::milliseconds{5});
  EXPECT_EQ(error, "");
}

TEST_F(StartEdges, RefuseAThreadThatStays) {
  EXPECT_THAT(error_of_start_beside(kDeadline), HasSubstr("2 threads"));
}

// Who asks for it cannot know who is alive.
TEST_F(StartEdges, TellPlacesAlsoOnceThereAreNone) {
  Engine engine{echo_of_threads(), pinned_settings()};
  engine.start();
  EXPECT_THAT(engine.placement(), HasSubstr("echo"));
  engine.stop();
  EXPECT_THAT(engine.placement(), HasSubstr("echo"));
}

}  // namespace
}  // namespace sluice::test
