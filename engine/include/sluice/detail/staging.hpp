// SPDX-License-Identifier: Apache-2.0
// Staging: what several events have pushed, kept in the process until it is their turn to be handed out.
//
// Used by one thread at a time: the one that runs the handler, then the worker's own, which pushes it. It keeps its memory from
// batch to batch, so that after some batches it allocates no more.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include <sluice/detail/wire.hpp>
#include <sluice/event.hpp>
#include <sluice/ipc/framing.hpp>

namespace sluice::detail {

// Two of them that lie side by side share no line: threads write to both.
class alignas(128) Staging {
 public:
  // One event that was pushed, as it lies in a lane.
  struct Entry {
    std::uint64_t bytes = 0;
    std::uint32_t output = 0;  // The number of the output among the handler's.
    const std::byte* payload = nullptr;
  };

  void clear() noexcept {
    used_ = 0;
    ends_.clear();
  }
  template <Event T>
  void add(std::uint32_t output, const T& event) {
    Wire<T>::write(make_room(output, Wire<T>::stride(event)), event);
  }
  // What follows belongs to the next event of the input.
  void end_event() { ends_.push_back(used_); }

  // How many events of the input have ended.
  std::size_t events() const noexcept { return ends_.size(); }
  // What one of them has pushed, in order.
  template <class Take>
  void each(std::size_t event, Take&& take) const {
    for (std::uint64_t at = event == 0 ? 0 : ends_[event - 1]; at < ends_[event];) {
      Head head;
      std::memcpy(&head, memory_.get() + at, sizeof(head));
      take(Entry{head.bytes, head.output, memory_.get() + at + sizeof(Head)});
      at += bytes_of(head.bytes);
    }
  }
  // Calls `take` with the event that stands in the entry.
  template <Event T, class Take>
  static void read(const Entry& entry, Take&& take) {
    if constexpr (is_record<T>) {
      std::uint64_t bytes = 0;
      std::memcpy(&bytes, entry.payload, sizeof(bytes));
      T event;
      Wire<T>::read({entry.payload + ipc::kRecordHeaderBytes, bytes}, event);
      take(event);
    } else if constexpr (alignof(T) <= kAlignment) {
      take(*reinterpret_cast<const T*>(entry.payload));
    } else {
      alignas(T) std::byte copy[sizeof(T)];
      std::memcpy(copy, entry.payload, sizeof(T));
      take(*reinterpret_cast<const T*>(copy));
    }
  }

 private:
  static constexpr std::uint64_t kAlignment = 16;
  struct Head {
    std::uint64_t bytes;
    std::uint32_t output;
    std::uint32_t unused;
  };
  static_assert(sizeof(Head) == kAlignment && __STDCPP_DEFAULT_NEW_ALIGNMENT__ >= kAlignment);

  static constexpr std::uint64_t bytes_of(std::uint64_t payload) noexcept {
    return sizeof(Head) + (payload + kAlignment - 1) / kAlignment * kAlignment;
  }
  std::byte* make_room(std::uint32_t output, std::uint64_t bytes) {
    const std::uint64_t needed = used_ + bytes_of(bytes);
    if (needed > capacity_) grow(needed);
    const Head head{bytes, output, 0};
    std::byte* at = memory_.get() + used_;
    std::memcpy(at, &head, sizeof(head));
    used_ = needed;
    return at + sizeof(head);
  }
  void grow(std::uint64_t needed) {
    const std::uint64_t capacity = std::max({needed, 2 * capacity_, kLeastBytes});
    auto larger = std::make_unique_for_overwrite<std::byte[]>(capacity);
    if (used_ != 0) std::memcpy(larger.get(), memory_.get(), used_);
    memory_ = std::move(larger);
    capacity_ = capacity;
  }

  static constexpr std::uint64_t kLeastBytes = 4096;

  std::unique_ptr<std::byte[]> memory_;
  std::uint64_t capacity_ = 0;
  std::uint64_t used_ = 0;
  std::vector<std::uint64_t> ends_;  // Of the events of the input: where the entries of each end.
};

}  // namespace sluice::detail
