// SPDX-License-Identifier: Apache-2.0
// The arena by oneTBB, which knows neither the units of this worker nor its quota: both are intersected before
// (pinning/quota.hpp), and its threads are bound to the worker's units when they come in.
#include <csignal>
#include <cstddef>
#include <memory>
#include <unistd.h>

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_for.h>
#include <oneapi/tbb/partitioner.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_scheduler_observer.h>

#include <sluice/detail/arena.hpp>
#include <sluice/pinning/masks.hpp>

namespace sluice::detail {
namespace {

// A handler that has used up its stack needs another one to say so (crash_note.hpp); the main thread has one.
constexpr std::size_t kCrashStackBytes = std::size_t{64} << 10;

void give_crash_stack() {
  thread_local std::unique_ptr<std::byte[]> memory;
  stack_t found{};
  if (memory != nullptr || ::sigaltstack(nullptr, &found) != 0 || (found.ss_flags & SS_DISABLE) == 0) return;
  memory = std::make_unique<std::byte[]>(kCrashStackBytes);
  const stack_t stack{memory.get(), 0, kCrashStackBytes};
  ::sigaltstack(&stack, nullptr);
}

// To what the main thread may run on now: its place, whatever the plan said when the arena was made. What the kernel refuses
// here, and what somebody changes later, the master finds when it looks at the threads (place_keeper.hpp).
void bind_to_place() noexcept {
  pinning::Mask place;
  pinning::Mask own;
  if (pinning::read_mask(::getpid(), place) != 0) return;
  if (pinning::read_mask(0, own) == 0 && own != place) pinning::write_mask(0, place);
}

class Entrance final : public tbb::task_scheduler_observer {
 public:
  explicit Entrance(tbb::task_arena& arena) : tbb::task_scheduler_observer{arena} { observe(true); }
  ~Entrance() override { observe(false); }
  Entrance(const Entrance&) = delete;
  Entrance& operator=(const Entrance&) = delete;

  void on_scheduler_entry(bool is_worker) override {
    if (!is_worker) return;
    bind_to_place();
    give_crash_stack();
  }
};

class TbbArena final : public Arena {
 public:
  explicit TbbArena(unsigned threads)
      : most_{tbb::global_control::max_allowed_parallelism, threads},
        arena_{static_cast<int>(threads), 1},
        entrance_{arena_} {}

  void run(std::size_t parts, const std::function<void(std::size_t)>& job) override {
    arena_.execute([&] {
      tbb::parallel_for(
          std::size_t{0}, parts, [&job](std::size_t part) { job(part); }, tbb::simple_partitioner{});
    });
  }

 private:
  tbb::global_control most_;
  tbb::task_arena arena_;
  Entrance entrance_;
};

}  // namespace

std::unique_ptr<Arena> make_arena(unsigned threads) {
  return std::make_unique<TbbArena>(threads);
}

}  // namespace sluice::detail
