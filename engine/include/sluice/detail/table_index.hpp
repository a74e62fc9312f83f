// SPDX-License-Identifier: Apache-2.0
// TableIndex: what a Table is but for the types of its rows: which row a key has, and which rows are free.
//
// A piece of a worker's state, used by the worker's one thread:
//
//   header | index: table_slots(rows) entries | rows, which never move
//
// An entry of the index has 32 bits of the key's hash and the number of its row. Probing is linear from the slot that the
// hash wants; erasing moves entries back, never rows, so that a reference to a row holds. Rows are taken from the front,
// and those that were erased first: each holds the number of the next free one.
//
// Invariants: an entry leads to a row that is taken, and each such row has one entry; a quarter of the index is empty, so
// that every search ends; size = taken rows <= fresh <= rows; rows from `fresh` on have never been taken. A stray store may
// have broken any of them: row numbers and the length of a search are checked, and what is wrong is an Error.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <sluice/detail/pages.hpp>
#include <sluice/detail/state_area.hpp>

namespace sluice::detail {

struct TableHeader {
  std::uint64_t size;        // Rows that are taken.
  std::uint32_t fresh;       // The first row that has never been taken.
  std::uint32_t first_free;  // 1 + the row that was erased last and is free; 0: none.
  std::uint64_t rows;
  std::uint64_t row_bytes;
  std::uint64_t reserved[4];
};
static_assert(sizeof(TableHeader) == 64);

// At the front of every row: kTaken, or 1 + the next free row, or 0 for the last of them.
using RowLink = std::uint32_t;
inline constexpr RowLink kTaken = ~RowLink{0};

inline constexpr std::uint64_t kMostTableRows = std::uint64_t{1} << 31;
inline constexpr std::uint64_t kMostRowBytes = std::uint64_t{1} << 31;

// Where the rows of a table begin, and its bytes in all, for sizes up to these.
constexpr std::uint64_t table_front_bytes(std::uint64_t rows) noexcept {
  return round_up(sizeof(TableHeader) + table_slots(rows) * sizeof(std::uint64_t), StateArea::kAlignment);
}
constexpr std::uint64_t table_bytes(std::uint64_t rows, std::uint64_t row_bytes) noexcept {
  return table_front_bytes(rows) + rows * row_bytes;
}

class TableIndex {
 public:
  static constexpr std::uint32_t kNoRow = ~std::uint32_t{0};

  // Claims the piece; `type`: what the rows are. Throws Error as StateArea::claim() does, and for a table whose header is
  // corrupt.
  TableIndex(StateArea& area, std::string_view name, std::uint64_t rows, std::size_t row_bytes,
             std::string type);

  std::byte* rows_memory() const noexcept {
    return reinterpret_cast<std::byte*>(header_) + table_front_bytes(rows_);
  }
  std::uint64_t size() const noexcept { return header_->size; }
  std::uint64_t rows() const noexcept { return rows_; }
  // All rows that are taken lie before it.
  std::uint64_t end() const noexcept { return header_->fresh < rows_ ? header_->fresh : rows_; }

  // The slot of the key with that hash for whose row is_it(row) says so; otherwise kNoRow, and the slot where it belongs.
  struct Found {
    std::uint64_t slot;
    std::uint32_t row;
  };
  template <class IsIt>
  Found find(std::uint32_t hash, const IsIt& is_it) const {
    std::uint64_t slot = hash & mask_;
    for (std::uint64_t probes = 0;; ++probes) {
      const std::uint64_t entry = entries_[slot];
      if (entry == 0) return {slot, kNoRow};
      if (static_cast<std::uint32_t>(entry >> 32U) == hash) {
        const std::uint32_t row = static_cast<std::uint32_t>(entry) - 1;
        if (row >= rows_) corrupt();
        if (is_it(row)) return {slot, row};
      }
      if (probes == mask_) corrupt();
      slot = (slot + 1) & mask_;
    }
  }

  // Whether a row must be noted as a whole before it is written: it has been taken before, and may be needed again.
  bool takes_used_row() const noexcept { return header_->first_free != 0; }
  // The row that take() will take. Throws Error when there is none.
  std::uint32_t next_row() const {
    if (header_->size >= rows_) area_->table_full(name_, rows_);
    const std::uint32_t row = takes_used_row() ? header_->first_free - 1 : header_->fresh;
    if (row >= rows_) corrupt();
    return row;
  }
  // Enters it at the free slot that find() gave; `link` is the row's, as it was while the row was free.
  void take(std::uint64_t slot, std::uint32_t hash, std::uint32_t row, RowLink link) {
    if (takes_used_row() && link > rows_) corrupt();
    note(header_->size);
    note(entries_[slot]);
    if (takes_used_row()) {
      note(header_->first_free);
      header_->first_free = link;
    } else {
      note(header_->fresh);
      header_->fresh = row + 1;
    }
    ++header_->size;
    entries_[slot] = std::uint64_t{hash} << 32U | (std::uint64_t{row} + 1);
  }

  // Takes the entry away; the link for its row, which is free now. The row has been noted.
  RowLink give_back(const Found& found) {
    if (header_->size == 0) corrupt();
    note(header_->size);
    note(header_->first_free);
    remove_entry(found.slot);
    --header_->size;
    const RowLink link = header_->first_free;
    header_->first_free = found.row + 1;
    return link;
  }

  [[noreturn]] void corrupt() const { area_->table_corrupt(name_); }

 private:
  // Word by word, as they are stored: a wider load would wait for the stores of the event before.
  template <class Word>
  void note(Word& word) {
    area_->note(&word, sizeof(word));
  }

  // Entries behind the hole that would not be found past it move into it.
  void remove_entry(std::uint64_t hole) {
    for (std::uint64_t next = (hole + 1) & mask_, probes = 0; entries_[next] != 0 && probes < mask_;
         next = (next + 1) & mask_, ++probes) {
      const std::uint64_t home = (entries_[next] >> 32U) & mask_;
      if (((next - home) & mask_) >= ((next - hole) & mask_)) {
        note(entries_[hole]);
        entries_[hole] = entries_[next];
        hole = next;
      }
    }
    note(entries_[hole]);
    entries_[hole] = 0;
  }

  StateArea* area_;
  std::string name_;
  std::uint64_t rows_;
  std::uint64_t mask_;
  TableHeader* header_;
  std::uint64_t* entries_;
};

}  // namespace sluice::detail
