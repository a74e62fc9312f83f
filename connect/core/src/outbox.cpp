// SPDX-License-Identifier: Apache-2.0
#include "outbox.hpp"

#include <algorithm>
#include <memory>

namespace sluice::detail {

Outbox::Outbox(Worker& worker)
    : box_{[&worker] {
        // Not on the stack.
        const auto empty = std::make_unique<Box>();
        return worker.state<Box>("outbox", *empty);
      }()} {}

void Outbox::add(std::string_view frame) {
  Place tail = box_->tail;
  const auto length = static_cast<std::uint32_t>(frame.size());
  write(tail.bytes, reinterpret_cast<const char*>(&length), kLengthBytes);
  write(tail.bytes + kLengthBytes, frame.data(), frame.size());
  ++tail.frames;
  tail.bytes += kLengthBytes + frame.size();
  box_.edit(&Box::tail) = tail;
}

Outbox::Place Outbox::pass(const Place& place, std::string* bytes) const {
  std::uint32_t length = 0;
  read(place.bytes, reinterpret_cast<char*>(&length), kLengthBytes);
  if (bytes != nullptr) {
    const std::size_t before = bytes->size();
    bytes->resize(before + length);
    read(place.bytes + kLengthBytes, bytes->data() + before, length);
  }
  return {place.frames + 1, place.bytes + kLengthBytes + length};
}

void Outbox::write(std::uint64_t at, const char* bytes, std::uint64_t count) {
  while (count != 0) {
    const std::uint64_t from = at % kBytes;
    const std::uint64_t piece = std::min(count, kBytes - from);
    std::copy_n(bytes, piece, box_.edit(&Box::ring, from, piece).data());
    at += piece;
    bytes += piece;
    count -= piece;
  }
}

void Outbox::read(std::uint64_t at, char* bytes, std::uint64_t count) const noexcept {
  while (count != 0) {
    const std::uint64_t from = at % kBytes;
    const std::uint64_t piece = std::min(count, kBytes - from);
    std::copy_n(box_->ring + from, piece, bytes);
    at += piece;
    bytes += piece;
    count -= piece;
  }
}

}  // namespace sluice::detail
