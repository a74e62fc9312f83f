// SPDX-License-Identifier: Apache-2.0
#include "state/table_growth.hpp"

#include <bit>
#include <cstring>

#include <fmt/format.h>

#include <sluice/detail/pages.hpp>
#include <sluice/detail/table_index.hpp>
#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/units.hpp>

#include "state/directory.hpp"

namespace sluice::detail {
namespace {

[[noreturn]] void refuse(const std::string& stage, std::string_view name, const std::string& why,
                         const std::string& remedy) {
  throw Error{{"resize the table", fmt::format("'{}' of stage {}", printable(name), stage), why, remedy}};
}

// What of a table's header is needed, checked against the bytes of its piece.
struct OldTable {
  TableHeader header;
  std::span<const std::byte> bytes;

  static bool read(std::span<const std::byte> bytes, OldTable& table) {
    if (bytes.size() < sizeof(TableHeader)) return false;
    std::memcpy(&table.header, bytes.data(), sizeof(TableHeader));
    table.bytes = bytes;
    const TableHeader& header = table.header;
    return header.rows <= kMostTableRows && header.row_bytes <= kMostRowBytes &&
           table_bytes(header.rows, header.row_bytes) == bytes.size() && header.size <= header.fresh &&
           header.fresh <= header.rows && header.first_free <= header.fresh;
  }
};

// Enters each row that the old index has into the new one, which has room for all of them. False when the old one has
// more entries than rows are taken, or one that leads nowhere.
bool copy_index(const OldTable& from, std::span<std::byte> to, std::uint64_t rows) {
  const std::uint64_t mask = table_slots(rows) - 1;
  const std::byte* const old_entries = from.bytes.data() + sizeof(TableHeader);
  auto* const entries = reinterpret_cast<std::uint64_t*>(to.data() + sizeof(TableHeader));
  std::uint64_t entered = 0;
  for (std::uint64_t slot = 0; slot < table_slots(from.header.rows); ++slot) {
    std::uint64_t entry = 0;
    std::memcpy(&entry, old_entries + slot * sizeof(entry), sizeof(entry));
    if (entry == 0) continue;
    const std::uint64_t row = static_cast<std::uint32_t>(entry) - std::uint64_t{1};
    if (row >= from.header.fresh || entered++ == from.header.size) return false;
    std::uint64_t at = (entry >> 32U) & mask;
    while (entries[at] != 0)
      at = (at + 1) & mask;
    entries[at] = entry;
  }
  return entered == from.header.size;
}

bool copy_table(const OldTable& from, std::span<std::byte> to, std::uint64_t rows) {
  TableHeader header = from.header;
  header.rows = rows;
  std::memcpy(to.data(), &header, sizeof(header));
  std::memcpy(to.data() + table_front_bytes(rows), from.bytes.data() + table_front_bytes(from.header.rows),
              from.header.fresh * from.header.row_bytes);
  return copy_index(from, to, rows);
}

}  // namespace

void copy_with_larger_tables(std::span<const std::byte> from, std::span<std::byte> to, std::uint64_t rows,
                             const std::string& stage) {
  constexpr const char* kCorrupt = "a stray store has changed it";
  constexpr const char* kAnew = "start the pipeline anew, and look for that store with AddressSanitizer";
  const auto& old = *reinterpret_cast<const Directory*>(from.data());
  auto& fresh = *reinterpret_cast<Directory*>(to.data());
  // relaxed: no worker lives.
  const std::uint64_t count = old.count.load(std::memory_order_relaxed);
  if (count > kMostPieces) refuse(stage, "directory", kCorrupt, kAnew);
  if (rows > kMostTableRows)
    refuse(stage, "table.rows", fmt::format("{} are more than a table can have", rows), "ask for fewer");
  std::uint64_t end = sizeof(Directory);
  for (std::uint64_t i = 0; i < count; ++i) {
    Piece piece = old.pieces[i];
    if (!lies_in(piece, from.size())) refuse(stage, name_of(piece), kCorrupt, kAnew);
    const std::span<const std::byte> bytes = from.subspan(piece.offset, piece.bytes);
    OldTable table{};
    if (piece.is_table != 0) {
      if (!OldTable::read(bytes, table)) refuse(stage, name_of(piece), kCorrupt, kAnew);
      if (table.header.rows > rows)
        refuse(stage, name_of(piece),
               fmt::format("it has {} rows, and {} are asked for", table.header.rows, rows),
               fmt::format("set stage.{}.table.rows to {} or more", stage, table.header.rows));
      piece.bytes = table_bytes(rows, table.header.row_bytes);
    }
    piece.offset = round_up(end, StateArea::kAlignment);
    end = piece.offset + piece.bytes;
    if (end > to.size())
      refuse(stage, name_of(piece), fmt::format("it takes {} with {} rows", format_bytes(piece.bytes), rows),
             fmt::format("raise --set stage.{}.state.bytes={}", stage, format_bytes(std::bit_ceil(end))));
    const std::span<std::byte> room = to.subspan(piece.offset, piece.bytes);
    if (piece.is_table == 0) {
      std::memcpy(room.data(), bytes.data(), bytes.size());
    } else if (!copy_table(table, room, rows)) {
      refuse(stage, name_of(piece), kCorrupt, kAnew);
    }
    fresh.pieces[i] = piece;
  }
  fresh.count.store(count, std::memory_order_relaxed);
}

}  // namespace sluice::detail
