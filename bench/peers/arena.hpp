// SPDX-License-Identifier: Apache-2.0
// Shared memory for queues that allocate for themselves: all they ask for before the processes part comes
// from here, and nothing is ever given back.
#pragma once

#include <cstddef>
#include <cstdlib>

#include "shared.hpp"

namespace sluice::bench {

class Arena {
 public:
  explicit Arena(std::size_t bytes) : bytes_{bytes} {}
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  // While one of these lives, this thread's allocations through allocate() are taken from the arena.
  class Use {
   public:
    explicit Use(Arena& arena) noexcept { current() = &arena; }
    ~Use() { current() = nullptr; }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
  };

  // nullptr when the arena is exhausted, or none is in use: the queue then says that it is full.
  static void* allocate(std::size_t bytes) noexcept {
    Arena* arena = current();
    return arena == nullptr ? nullptr : arena->take(bytes);
  }
  static bool in_use() noexcept { return current() != nullptr; }

 private:
  static Arena*& current() noexcept {
    thread_local Arena* arena = nullptr;
    return arena;
  }
  void* take(std::size_t bytes) noexcept {
    const std::size_t rounded = (bytes + 127) / 128 * 128;
    if (rounded > bytes_.size() - used_) return nullptr;
    used_ += rounded;
    return bytes_.data() + used_ - rounded;
  }

  SharedBytes bytes_;
  std::size_t used_ = 0;
};

}  // namespace sluice::bench
