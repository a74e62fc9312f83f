// SPDX-License-Identifier: Apache-2.0
#include "own_disk.hpp"

#include <new>
#include <sys/mman.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/error.hpp>
#include <sluice/stats.hpp>

namespace sluice::detail {
namespace {

using Word = std::atomic<std::int64_t>;
static_assert(Word::is_always_lock_free);

constexpr std::chrono::nanoseconds kBetweenLooks = std::chrono::seconds{1};

}  // namespace

void OwnDisk::Unmap::operator()(Word* word) const noexcept {
  ::munmap(word, sizeof(Word));
}

OwnDisk::OwnDisk(std::string checkpoints) : checkpoints_{std::move(checkpoints)} {
  void* const page = ::mmap(nullptr, sizeof(Word), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) throw Error{{"start", "a partition", errno_text(), "give the machine more memory"}};
  written_ns_.reset(new (page) Word{0});
}

void OwnDisk::written() noexcept {
  // relaxed: a time, and nothing that it is of.
  written_ns_->store(monotonic_now().count(), std::memory_order_relaxed);
}

// An event that takes long holds a checkpoint up, too, and so does a server that takes none: of these the words name no file of the
// directory, or one that is there.
void OwnDisk::require_room(const Engine& engine) {
  const std::chrono::nanoseconds now = monotonic_now();
  if (now < next_look_) return;
  next_look_ = now + kBetweenLooks;
  const CheckpointStats checkpoints = engine.stats().checkpoints;
  if (checkpoints.failing_for < kPatience || checkpoints.failure.find(checkpoints_) == std::string::npos)
    return;
  // relaxed: as above.
  if (now.count() - written_ns_->load(std::memory_order_relaxed) < kPatience.count()) return;
  throw Error{{"go on with", "a partition whose checkpoints cannot be written", checkpoints.failure,
               "see to that disk; another host has it after a few tries"}};
}

}  // namespace sluice::detail
