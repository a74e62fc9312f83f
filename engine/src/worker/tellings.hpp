// SPDX-License-Identifier: Apache-2.0
// Tellings: what a worker has to say to the outside, in order, once a checkpoint holds what it is about
// (Worker::when_safe()).
//
// By the worker's one thread. What is not told when the process ends is told by nobody: who waits for it asks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <utility>

namespace sluice::detail {

class Tellings {
 public:
  // `checkpointed`: how many commits of this worker a checkpoint holds; nullptr: there are none. `gated`: what is added
  // waits for one.
  Tellings(const std::atomic<std::uint64_t>* checkpointed, bool gated)
      : checkpointed_{checkpointed}, gated_{gated} {}

  // That the first `commits` commits are safe is what `action` waits for.
  void add(std::uint64_t commits, std::function<void()> action) {
    if (!gated_) return action();
    hold(commits, std::move(action));
  }
  // The same for what nothing takes back: it waits wherever there are checkpoints.
  void hold(std::uint64_t commits, std::function<void()> action) {
    if (checkpointed_ == nullptr || (waiting_.empty() && commits <= checkpointed())) return action();
    waiting_.push_back({commits, std::move(action)});
  }
  bool none() const noexcept { return waiting_.empty(); }
  // How many commits are to be safe before nothing waits any more.
  std::uint64_t awaited() const noexcept { return waiting_.empty() ? 0 : waiting_.back().commits; }
  // The worker handles no more, until some of them are told.
  bool too_many() const noexcept { return !none() && waiting_.size() >= kMost; }
  bool due() const noexcept { return !waiting_.empty() && waiting_.front().commits <= checkpointed(); }
  // Tells what is due. One that throws is done with.
  void tell() {
    while (due()) {
      const std::function<void()> action = std::move(waiting_.front().action);
      waiting_.pop_front();
      action();
    }
  }

 private:
  struct Waiting {
    std::uint64_t commits;
    std::function<void()> action;
  };

  static constexpr std::size_t kMost = std::size_t{1} << 16;

  std::uint64_t checkpointed() const noexcept {
    // [worker.checkpointed] acquire: the checkpoint is published; pairs with Checkpointer::release().
    return checkpointed_->load(std::memory_order_acquire);
  }

  const std::atomic<std::uint64_t>* checkpointed_;
  bool gated_;
  std::deque<Waiting> waiting_;
};

}  // namespace sluice::detail
