// SPDX-License-Identifier: Apache-2.0
// What is traded where: a venue and a symbol as one small value that can lie in shared memory and be a key.
//
// Texts are kept in place, padded with zeros, so that equal texts are equal bytes: the values can be
// compared, ordered and hashed as raw memory, in the order in which the answers are sorted.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

namespace market {

enum class TextFault : std::uint8_t { none, empty, too_long, control_character };

// A phrase for people: "is empty".
std::string_view text(TextFault fault);

// Up to kBytes bytes of text without control characters, which would break the lines of the output files.
template <std::size_t kBytes>
class FixedText {
 public:
  constexpr FixedText() = default;

  // Leaves the value as it was unless the fault is none.
  TextFault assign(std::string_view text) {
    if (text.empty()) return TextFault::empty;
    if (text.size() > kBytes) return TextFault::too_long;
    for (const char byte : text) {
      if (static_cast<unsigned char>(byte) < 0x20) return TextFault::control_character;
    }
    std::memset(bytes_, 0, kBytes);
    std::memcpy(bytes_, text.data(), text.size());
    return TextFault::none;
  }

  std::string_view text() const { return {bytes_, strnlen(bytes_, kBytes)}; }

  bool operator==(const FixedText& other) const = default;
  std::strong_ordering operator<=>(const FixedText& other) const {
    return std::memcmp(bytes_, other.bytes_, kBytes) <=> 0;
  }

 private:
  char bytes_[kBytes] = {};
};

inline constexpr std::size_t kMaxVenueBytes = 16;
inline constexpr std::size_t kMaxSymbolBytes = 32;
inline constexpr std::size_t kMaxKindBytes = 32;

using KindName = FixedText<kMaxKindBytes>;

struct Instrument {
  FixedText<kMaxVenueBytes> venue;
  FixedText<kMaxSymbolBytes> symbol;

  bool operator==(const Instrument&) const = default;
  std::strong_ordering operator<=>(const Instrument& other) const {
    const std::strong_ordering by_venue = venue <=> other.venue;
    return std::is_neq(by_venue) ? by_venue : symbol <=> other.symbol;
  }
};

static_assert(sizeof(Instrument) == kMaxVenueBytes + kMaxSymbolBytes);
static_assert(std::is_trivially_copyable_v<Instrument> && std::is_standard_layout_v<Instrument>);
static_assert(std::has_unique_object_representations_v<Instrument>);

struct MadeInstrument {
  Instrument instrument;
  // Why there is none, as a sentence that names the part ("the venue is empty"); empty when there is one.
  std::string_view fault;
};

MadeInstrument make_instrument(std::string_view venue, std::string_view symbol);

}  // namespace market
