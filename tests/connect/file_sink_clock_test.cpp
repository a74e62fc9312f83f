// SPDX-License-Identifier: Apache-2.0
// FileSink and a wall clock that is set back: a file is not kept until the clock is where it was.
#include <atomic>
#include <ctime>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "file_sink_world.hpp"

namespace {

// By so many seconds the wall clock of this program and its workers is behind; nullptr: by none.
std::atomic<std::int64_t>* seconds_behind = nullptr;

}  // namespace

// Instead of the library's.
extern "C" int clock_gettime(clockid_t clock, timespec* time) noexcept {
  const auto status = static_cast<int>(::syscall(SYS_clock_gettime, clock, time));
  if (status == 0 && clock == CLOCK_REALTIME && seconds_behind != nullptr)
    time->tv_sec -= seconds_behind->load(std::memory_order_relaxed);
  return status;
}

namespace sluice::test {
namespace {

using namespace std::chrono_literals;

TEST_F(FileSinks, CompleteAFileThatIsOldThoughTheWallClockIsSetBack) {
  void* const shared =
      ::mmap(nullptr, sizeof(*seconds_behind), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  seconds_behind = new (shared) std::atomic<std::int64_t>{0};
  RollingFileOptions old = options();
  old.rotate_after = 1h;
  const std::vector<Item> all = items(10, 1);
  {
    Engine engine{archive(old), settings()};
    engine.start();
    auto in = engine.inlet<Item>("in");
    for (const Item& item : all)
      ASSERT_EQ(in.push(item), PushResult::accepted);
    ASSERT_TRUE(eventually([&] { return worker_of(engine, "items/0").events_in == all.size(); }));
    EXPECT_FALSE(published_whole()) << "it is young";
    seconds_behind->store(7200, std::memory_order_relaxed);
    EXPECT_TRUE(
        eventually([&] { return published_whole() && published("items-0") == lines_of_key(all, {0}); }));
    in.close();
    ASSERT_TRUE(engine.wait_for(kDeadline));
  }
  seconds_behind = nullptr;
  ::munmap(shared, sizeof(*seconds_behind));
}

}  // namespace
}  // namespace sluice::test
