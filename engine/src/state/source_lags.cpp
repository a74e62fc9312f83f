// SPDX-License-Identifier: Apache-2.0
#include "state/source_lags.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <string_view>

#include <sluice/printable.hpp>

#include "state/directory.hpp"

namespace sluice::detail {
namespace {

template <std::size_t kBytes>
std::string_view text_in(const char (&field)[kBytes]) {
  return {field, ::strnlen(field, kBytes)};
}

}  // namespace

std::vector<FoundLag> find_lags(std::span<const std::byte> state) {
  std::vector<FoundLag> found;
  if (state.size() < sizeof(Directory)) return found;
  const auto& directory = *reinterpret_cast<const Directory*>(state.data());
  // [state.claim] acquire: the pieces before the count; pairs with StateArea::claim(). What it says is not trusted.
  const std::uint64_t count =
      std::min<std::uint64_t>(directory.count.load(std::memory_order_acquire), kMostPieces);
  const auto piece_of = [&](std::string_view name) -> std::optional<Piece> {
    for (std::uint64_t i = 0; i < count; ++i) {
      const Piece piece = directory.pieces[i];
      if (name_of(piece) == name && lies_in(piece, state.size())) return piece;
    }
    return std::nullopt;
  };
  for (std::uint64_t i = 0; i < count; ++i) {
    const Piece piece = directory.pieces[i];
    if (!name_of(piece).starts_with(kSourceLagName) || piece.bytes != sizeof(SourceLag) ||
        !lies_in(piece, state.size()))
      continue;
    FoundLag each;
    std::memcpy(&each.lag, state.data() + piece.offset, sizeof(each.lag));
    each.of = printable(text_in(each.lag.of));
    const auto position = piece_of(text_in(each.lag.position));
    if (position && position->bytes >= sizeof(std::uint64_t)) each.position = position->offset;
    found.push_back(std::move(each));
  }
  return found;
}

}  // namespace sluice::detail
