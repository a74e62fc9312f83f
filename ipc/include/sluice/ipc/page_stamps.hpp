// SPDX-License-Identifier: Apache-2.0
// Page stamps: in which round each page of a worker's state was changed last, for who copies the state while the worker
// is at work (a checkpoint).
//
// Written by the process that owns the state, in one thread; read by any. Rounds are counted by somebody else, while the
// owner stands still; 0 while nobody wants to know, and then nothing is written. No call blocks or allocates.
//
// Invariant, at every instant, so that a process may die at any of them: a page is stamped before a byte of it
// changes. Against the death of the process it is enough that the compiler keeps this order; who reads stamps and pages at
// once while the owner runs has read nothing that counts.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include <sluice/detail/pages.hpp>

namespace sluice::ipc {

using PageStamp = std::atomic<std::uint32_t>;

// Of a state of so many bytes, which begins on a page.
constexpr std::size_t page_stamps_for(std::size_t state_bytes) noexcept {
  return (state_bytes + sluice::detail::kPageBytes - 1) / sluice::detail::kPageBytes;
}

class PageStamps {
 public:
  // Nobody ever wants to know.
  PageStamps() = default;
  PageStamps(std::span<PageStamp> stamps, const std::atomic<std::uint32_t>& round) noexcept
      : stamps_{stamps}, round_{&round} {}

  // The `bytes` at `offset` of the state are about to change.
  [[gnu::always_inline]] void mark(std::uint64_t offset, std::uint64_t bytes) noexcept {
    // relaxed: it changes only while this process stands still, and what orders that orders this.
    const std::uint32_t round = round_->load(std::memory_order_relaxed);
    if (round == 0) return;
    const std::uint64_t page = offset / sluice::detail::kPageBytes;
    // Most pages are changed again and again: a line that is only read stays where it is. relaxed: own words.
    const bool is_marked = page == last_page(offset, bytes) && page < stamps_.size() &&
                           stamps_[page].load(std::memory_order_relaxed) == round;
    if (!is_marked) mark_in(round, offset, bytes);
  }

 private:
  static constexpr std::uint64_t last_page(std::uint64_t offset, std::uint64_t bytes) noexcept {
    return (offset + bytes - 1) / sluice::detail::kPageBytes;
  }

  [[gnu::noinline]] void mark_in(std::uint32_t round, std::uint64_t offset, std::uint64_t bytes) noexcept {
    const std::uint64_t last = last_page(offset, bytes);
    for (std::uint64_t page = offset / sluice::detail::kPageBytes; bytes != 0 && page <= last; ++page) {
      // relaxed: own words.
      if (page < stamps_.size()) stamps_[page].store(round, std::memory_order_relaxed);
    }
    // The page changes after its stamp: the compiler may not move those stores up.
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }

  static constexpr std::atomic<std::uint32_t> kNoRound{0};

  std::span<PageStamp> stamps_;
  const std::atomic<std::uint32_t>* round_ = &kNoRound;
};

}  // namespace sluice::ipc
