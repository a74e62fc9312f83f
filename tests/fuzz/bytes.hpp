// SPDX-License-Identifier: Apache-2.0
// What a fuzzer's input is taken apart with: numbers and runs of bytes, zeros once it is used up.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>

namespace sluice::fuzz {

class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : rest_{reinterpret_cast<const std::byte*>(data), size} {}

  bool empty() const noexcept { return rest_.empty(); }
  template <class Number>
  Number take() noexcept {
    Number number{};
    const std::size_t bytes = std::min(sizeof(number), rest_.size());
    std::memcpy(&number, rest_.data(), bytes);
    rest_ = rest_.subspan(bytes);
    return number;
  }
  // A number below `limit`, from one byte or two.
  std::size_t below(std::size_t limit) noexcept {
    return (limit <= 256 ? take<std::uint8_t>() : take<std::uint16_t>()) % limit;
  }
  // Fills `into` as far as the input goes.
  void fill(std::span<std::byte> into) noexcept {
    const std::size_t bytes = std::min(into.size(), rest_.size());
    if (bytes != 0) std::memcpy(into.data(), rest_.data(), bytes);
    rest_ = rest_.subspan(bytes);
  }
  std::string text() {
    std::string text{reinterpret_cast<const char*>(rest_.data()), rest_.size()};
    rest_ = {};
    return text;
  }

 private:
  std::span<const std::byte> rest_;
};

// A fuzz target's assertion: in every build.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

}  // namespace sluice::fuzz
