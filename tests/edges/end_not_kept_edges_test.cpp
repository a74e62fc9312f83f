// SPDX-License-Identifier: Apache-2.0
// A pipeline whose end cannot be kept, since the disk or the directory of its checkpoints says no: that is no success for as
// long as the host has not taken everything.
#include <csignal>
#include <cstdio>
#include <sched.h>
#include <sys/mount.h>
#include <utility>

#include "errors.hpp"
#include "total_loss.hpp"
#include "with_checkpoints.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class EndNotKept : public WithCheckpoints {
 protected:
  static void push(Engine& engine, std::uint32_t count) {
    Inlet<Item> in = engine.inlet<Item>("in");
    for (std::uint32_t number = 0; number < count; ++number)
      ASSERT_EQ(in.push({0, number}), PushResult::accepted);
    in.close();
  }
  static std::uint32_t take_all(Engine& engine) {
    Outlet<Seen> out = engine.outlet<Seen>("out");
    std::uint32_t taken = 0;
    EXPECT_TRUE(eventually([&] {
      out.poll([&](const Seen&) { ++taken; });
      return out.ended();
    }));
    out.ack();
    return taken;
  }
};

TEST_F(EndNotKept, IsAnErrorThatSaysWhatToDoUntilAllIsTaken) {
  for (const char* const end : {"drain", "finish"}) {
    SCOPED_TRACE(end);
    Engine engine{counting(), settings()};
    engine.start();
    EXPECT_TRUE(eventually([&] { return !files().empty(); }));
    ASSERT_TRUE(put_in_the_way(directory()));
    EXPECT_TRUE(eventually([&] { return engine.stats().checkpoints.failures > 0; }));
    push(engine, 50);
    if (std::string_view{end} == "drain") engine.begin_drain();
    EXPECT_THAT(error_of([&] { engine.wait(); }),
                AllOf(HasSubstr("keep the end of counting"), HasSubstr(directory().string()),
                      HasSubstr("in memory only"), HasSubstr("take it now")));
    EXPECT_EQ(engine.end(), End::failed);
    EXPECT_EQ(take_all(engine), 50U);
    fs::remove(directory());
    EXPECT_EQ(error_of([&] { engine.wait(); }), "");
    EXPECT_EQ(engine.end(), std::string_view{end} == "drain" ? End::drained : End::finished);
  }
}

// On a disk that is full; once there is room, the next start goes on with the checkpoint before.
TEST_F(EndNotKept, OnAFullDiskIsGoneOnWithFromTheCheckpointBefore) {
  fs::create_directory(scratch_ / "disk");
  total_loss::Host host{
      {}, [&] {
        std::ofstream said{scratch_ / "said"};
        if (::unshare(CLONE_NEWNS) != 0 ||
            ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
            ::mount("none", (scratch_ / "disk").c_str(), "tmpfs", 0, "size=1m,mode=0700") != 0)
          return void(said << "not allowed");
        Settings kept = settings({"checkpoint.path=" + (scratch_ / "disk/checkpoints").string()});
        const fs::path ballast = scratch_ / "disk/ballast";
        {
          Engine engine{counting(), kept};
          engine.start();
          eventually([&] { return engine.stats().checkpoints.written > 0; });
          {
            std::ofstream file{ballast};
            while (file << std::string(4096, 'x') << std::flush) {
            }
          }
          push(engine, 50);
          said << error_of([&] { engine.wait(); }) << "\n";
        }
        fs::remove(ballast);
        Engine engine{counting(), kept};
        engine.start();
        said << "resumed " << engine.resumed() << "\n";
        Inlet<Item> in = engine.inlet<Item>("in");
        for (auto next = static_cast<std::uint32_t>(in.position()); next < 50; ++next)
          static_cast<void>(in.push({0, next}));
        in.close();
        said << "taken " << take_all(engine) << "\n";
        engine.wait();
      }};
  ASSERT_TRUE(host.wait_for_end(kDeadline));
  std::ifstream file{scratch_ / "said"};
  const std::string said{std::istreambuf_iterator<char>{file}, {}};
  if (said == "not allowed") GTEST_SKIP() << "a file system of its own needs root";
  EXPECT_THAT(said, AllOf(HasSubstr("No space left on device"), HasSubstr("resumed 1\ntaken 50\n")));
}

// Of a pipeline that has handled nothing.
TEST_F(EndNotKept, IsToldWhereThereIsNothingToKeep) {
  const Settings idle = settings({"checkpoint.idle=no"});
  const std::string said = (scratch_ / "said").string();
  total_loss::Host host{{}, [&] {
                          std::signal(SIGTERM, SIG_DFL);  // A shell may have had it ignored.
                          ASSERT_NE(std::freopen(said.c_str(), "w", stderr), nullptr);
                          Engine engine{counting(), idle};
                          StandardOptions quiet;
                          quiet.quiet = true;
                          bool asked = false;
                          const int status = run(engine, quiet, idle, [&] {
                            if (!std::exchange(asked, true)) ::raise(SIGTERM);
                          });
                          std::fprintf(stderr, "status %d\n", status);
                        }};
  ASSERT_TRUE(host.wait_for_end(kDeadline));
  std::ifstream file{said};
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  EXPECT_THAT(text, AllOf(HasSubstr("the next start begins anew"), HasSubstr("status 0")));
  EXPECT_TRUE(files().empty());
}

}  // namespace
}  // namespace sluice::test
