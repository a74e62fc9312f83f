// SPDX-License-Identifier: Apache-2.0
// The word to who follows the checkpoints of a partition (StateLog::follow) that it is to be claimed now, and with which epoch: given
// by one thread, and heard by the one that follows, whatever that waits for.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <utility>

namespace sluice::detail {

class ClaimOrder {
 public:
  void give(std::uint64_t epoch) {
    const std::lock_guard lock{mutex_};
    epoch_ = epoch;
    if (wake_) wake_();
    given_.notify_all();
  }
  // Waits for it, at most `limit`.
  std::optional<std::uint64_t> wait(std::chrono::milliseconds limit) {
    std::unique_lock lock{mutex_};
    given_.wait_for(lock, limit, [this] { return epoch_.has_value(); });
    return epoch_;
  }
  // What is called by give(), in its thread, from here on; empty: nothing any more.
  void wake_by(std::function<void()> wake) {
    const std::lock_guard lock{mutex_};
    wake_ = std::move(wake);
  }

 private:
  std::mutex mutex_;
  std::condition_variable given_;
  std::optional<std::uint64_t> epoch_;
  std::function<void()> wake_;
};

}  // namespace sluice::detail
