// SPDX-License-Identifier: Apache-2.0
// The image of a segment: one run of bytes that has every plain part and every ring once, wherever a process has mapped
// them, behind the shape of the pipeline. What lies at an offset follows from the layout and the shape alone, so that an image
// made by one life is that of another.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include <sluice/detail/index.hpp>
#include <sluice/detail/pages.hpp>

#include "layout/layout.hpp"

namespace sluice::detail {

class ImageMap {
 public:
  // `shape`: as checkpoint_shape() has it.
  ImageMap(const Layout& layout, std::string_view shape) {
    take(sizeof(std::uint64_t) + shape.size());
    for (const ProcessLayout& process : layout.processes)
      plain_.push_back(take(process.plain_bytes));
    for (const LaneLayout& lane : layout.lanes)
      rings_.push_back(take(lane.capacity_bytes));
  }

  // Where they begin: at a page each.
  std::size_t plain(ProcessIndex process) const noexcept { return plain_[process]; }
  std::size_t ring(LaneIndex lane) const noexcept { return rings_[lane]; }
  // Whole pages.
  std::size_t bytes() const noexcept { return bytes_; }

  static void write_shape(std::span<std::byte> image, std::string_view shape) noexcept {
    const std::uint64_t bytes = shape.size();
    std::memcpy(image.data(), &bytes, sizeof(bytes));
    std::memcpy(image.data() + sizeof(bytes), shape.data(), shape.size());
  }
  static constexpr std::size_t kLengthBytes = sizeof(std::uint64_t);
  // What of an image's front holds the shape, as its first bytes say; not to be trusted.
  static std::size_t shape_bytes(std::span<const std::byte> length) noexcept {
    constexpr std::uint64_t kMost = std::uint64_t{64} << 20U;
    std::uint64_t bytes = 0;
    if (length.size() >= kLengthBytes) std::memcpy(&bytes, length.data(), kLengthBytes);
    return kLengthBytes + std::min(bytes, kMost);
  }
  // Nothing if it is no front of an image.
  static std::optional<std::string> read_shape(std::span<const std::byte> front) {
    if (front.size() < kLengthBytes || shape_bytes(front) > front.size()) return std::nullopt;
    return std::string{reinterpret_cast<const char*>(front.data()) + kLengthBytes,
                       shape_bytes(front) - kLengthBytes};
  }

 private:
  std::size_t take(std::size_t bytes) {
    const std::size_t at = bytes_;
    bytes_ += round_up(bytes, kPageBytes);
    return at;
  }

  Indexed<ProcessIndex, std::size_t> plain_;
  Indexed<LaneIndex, std::size_t> rings_;
  std::size_t bytes_ = 0;
};

}  // namespace sluice::detail
