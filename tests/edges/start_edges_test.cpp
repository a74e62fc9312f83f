// SPDX-License-Identifier: Apache-2.0
// A pipeline is started by a process of one thread, and a thread that is as good as gone is none; and with paths that are
// not in each other's way.
#include <chrono>
#include <filesystem>
#include <future>
#include <string>
#include <thread>
#include <unistd.h>
#include <vector>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
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

// None of them is there yet: the first dead letter would have waited for ever for its directory.
TEST_F(StartEdges, RefuseADirectoryWhereTheSegmentOrTheSocketIsToBe) {
  const std::filesystem::path there =
      std::filesystem::temp_directory_path() / ("sluice-start-edges-" + std::to_string(::getpid()));
  const std::vector<std::string> ways{"", "/below", "/../" + there.filename().string() + "/."};
  for (const std::string& file : std::vector<std::string>{"segment.path", "observe.socket"}) {
    for (const std::string& directory : std::vector<std::string>{"report.path", "checkpoint.path"}) {
      for (const std::string& below : ways) {
        SCOPED_TRACE(testing::Message() << file << " " << directory << " " << below);
        Settings settings = test_settings();
        settings.set(file, there.string());
        settings.set(directory, there.string() + below);
        Engine engine{echo_of_threads(), settings};
        EXPECT_THAT(error_of([&engine] { engine.start(); }),
                    AllOf(HasSubstr("cannot start the pipeline threads: " + directory),
                          HasSubstr(there.string()), HasSubstr(file + " is to be a file there"),
                          HasSubstr("set " + directory + " to another path")));
        EXPECT_FALSE(std::filesystem::exists(there));
      }
    }
  }
  // Beside each other they may be.
  Settings settings = test_settings();
  settings.set("segment.path", there.string());
  settings.set("report.path", there.string() + "-reports");
  Engine engine{echo_of_threads(), settings};
  EXPECT_EQ(error_of([&engine] { engine.start(); }), "");
  engine.stop();
  std::filesystem::remove(there);
}

// That of reports is beside them by itself, and is not what anybody has set.
TEST_F(StartEdges, NameTheSettingOfThePathThatWasGiven) {
  for (const std::string& setting :
       std::vector<std::string>{"checkpoint.path", "segment.path", "report.path"}) {
    for (const std::string& path : std::vector<std::string>{"/proc/sluice", "/dev/null/sluice"}) {
      SCOPED_TRACE(testing::Message{} << setting << "=" << path);
      Settings settings = test_settings();
      settings.set(setting, path);
      Engine engine{echo_of_threads(), settings};
      const std::string said = error_of([&engine] { engine.start(); });
      EXPECT_THAT(said, AllOf(HasSubstr(path + ":"), HasSubstr("set " + setting + " to ")));
    }
  }
}

}  // namespace
}  // namespace sluice::test
