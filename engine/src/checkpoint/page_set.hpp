// SPDX-License-Identifier: Apache-2.0
// A set of pages, by their numbers. By one thread.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace sluice::detail {

class PageSet {
 public:
  explicit PageSet(std::size_t pages) : words_((pages + kBits - 1) / kBits) {}

  void add(std::size_t page) noexcept { words_[page / kBits] |= bit(page); }
  void remove(std::size_t page) noexcept { words_[page / kBits] &= ~bit(page); }
  bool has(std::size_t page) const noexcept { return (words_[page / kBits] & bit(page)) != 0; }
  std::size_t size() const noexcept {
    std::size_t pages = 0;
    for (const std::uint64_t word : words_)
      pages += static_cast<std::size_t>(std::popcount(word));
    return pages;
  }
  void clear() noexcept { words_.assign(words_.size(), 0); }

  // Calls visit(page) for those from `first` on and before `end`, in their order; it may remove the one it is given.
  template <class Visit>
  void for_each(std::size_t first, std::size_t end, Visit&& visit) const {
    for (std::size_t at = first / kBits; at * kBits < end; ++at) {
      for (std::uint64_t word = words_[at]; word != 0; word &= word - 1) {
        const std::size_t page = at * kBits + static_cast<std::size_t>(std::countr_zero(word));
        if (page >= first && page < end) visit(page);
      }
    }
  }

 private:
  static constexpr std::size_t kBits = 64;
  static constexpr std::uint64_t bit(std::size_t page) noexcept { return std::uint64_t{1} << (page % kBits); }

  std::vector<std::uint64_t> words_;
};

}  // namespace sluice::detail
