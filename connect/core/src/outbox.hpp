// SPDX-License-Identifier: Apache-2.0
// Outbox: frames that are committed, or will be with the event in the handler, and that the other side has not acknowledged.
// Recoverable state: a ring of bytes, each frame behind its length, and what stands where.
//
//     head                      tail
//      | frame taken + 1 | ... | frame added |
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <sluice/worker.hpp>

namespace sluice::detail {

class Outbox {
 public:
  static constexpr std::uint64_t kBytes = std::uint64_t{1} << 20;
  static constexpr std::uint64_t kLengthBytes = sizeof(std::uint32_t);

  // A place between two frames: how many came before, and where the next one begins.
  struct Place {
    std::uint64_t frames = 0;
    std::uint64_t bytes = 0;
  };

  explicit Outbox(Worker& worker);

  Place head() const noexcept { return box_->head; }
  Place tail() const noexcept { return box_->tail; }
  bool has_room_for(std::string_view frame) const noexcept {
    return box_->tail.bytes - box_->head.bytes + kLengthBytes + frame.size() <= kBytes;
  }
  // There is room.
  void add(std::string_view frame);
  // What comes before `place`, which is one that pass() has reached, is not needed any more.
  void forget_until(const Place& place) { box_.edit(&Box::head) = place; }

  // The frame at `place`, appended to `bytes` if that is given; the place behind it. There is one.
  Place pass(const Place& place, std::string* bytes = nullptr) const;

 private:
  struct Box {
    Place head;
    Place tail;
    char ring[kBytes];
  };

  void write(std::uint64_t at, const char* bytes, std::uint64_t count);
  void read(std::uint64_t at, char* bytes, std::uint64_t count) const noexcept;

  Recoverable<Box> box_;
};

}  // namespace sluice::detail
