// SPDX-License-Identifier: Apache-2.0
// StateArea: where the recoverable state of one worker lies, piece by piece, by name.
//
// Used by the worker's one thread; find() by any process, which must not trust what it reads.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sluice/detail/hash.hpp>
#include <sluice/ipc/undo.hpp>

namespace sluice::detail {

// Entries of a table's index: at most three quarters of them are used, so that probes stay short.
constexpr std::uint64_t table_slots(std::uint64_t rows) noexcept {
  return std::bit_ceil(rows + rows / 3 + 1);
}

// What a piece was kept as: a text that must be the same when it is taken over, and the rows of a table.
struct PieceKind {
  std::string type;
  std::optional<std::uint64_t> rows;
};
struct Piece;

// The state area of one worker: a directory of named pieces, claimed in the constructor of a handler, in the
// same order by each incarnation.
class StateArea {
 public:
  static constexpr std::size_t kAlignment = 64;  // Of every piece.

  // `drawn`: for the hash of the tables' keys, the same in every life of a pipeline; 0: none.
  StateArea(std::string stage, ipc::UndoLog& undo, std::uint64_t drawn = 0)
      : stage_{std::move(stage)}, undo_{undo}, hash_seed_{HashSeed::of(drawn)} {}

  // The piece `name`. The first incarnation to ask gets memory that holds `initial` (then zeros). Throws
  // Error when the area is too small, or when the piece was claimed with another size or kind before. Pieces of the
  // engine, whose names begin with "sluice.", are found by their names: settings decide whether they are needed.
  std::byte* claim(std::string_view name, std::size_t bytes, std::span<const std::byte> initial,
                   const PieceKind& kind = {});

  // Once the handler is made: throws Error for a piece that an earlier incarnation, of another program, has kept and this one
  // did not ask for. It would stay as it is, and be taken for today's by whoever asks for it again.
  void refuse_unclaimed() const;

  // Notes bytes that are about to change. Throws Error when the undo log is full.
  [[gnu::always_inline]] void note(const void* address, std::size_t bytes) {
    if (!undo_.note(static_cast<const std::byte*>(address), bytes)) undo_full(bytes);
  }
  // Tells that bytes are about to change in which nothing was ever committed: they are not noted.
  void touch(const void* address, std::size_t bytes) noexcept {
    undo_.touch(static_cast<const std::byte*>(address), bytes);
  }
  // The first event that found the undo log full, by UndoLog::event(); 0: none has. It lacks a change that it was to make,
  // whatever its handler made of the Error.
  std::uint64_t undo_full_for() const noexcept { return undo_full_for_; }
  // The Error of that event has come out of its handler.
  void note_undo_full_told() noexcept { undo_full_for_ = 0; }
  // Throws it once more.
  [[noreturn]] void tell_undo_full() const;
  // Remembers the size of a table that was claimed last, for the remedy of one that is full.
  void claimed_table(std::uint64_t rows, std::size_t row_bytes) { tables_.push_back({rows, row_bytes}); }
  [[noreturn]] void table_full(std::string_view table, std::uint64_t rows) const;
  [[noreturn]] void table_corrupt(std::string_view table) const;
  // An event that wants more elements of an array than there are.
  [[noreturn]] void no_such_elements(std::size_t have, std::size_t first, std::size_t count) const;
  const HashSeed& hash_seed() const noexcept { return hash_seed_; }
  const std::string& stage() const noexcept { return stage_; }

  // Bytes that the directory takes from an area.
  static std::size_t overhead_bytes() noexcept;
  // The piece `name` in another process's area, or nullptr when it is not there (yet) or not of that size.
  static const std::byte* find(std::span<const std::byte> area, std::string_view name,
                               std::size_t bytes) noexcept;

 private:
  struct ClaimedTable {
    std::uint64_t rows;
    std::size_t row_bytes;
  };

  [[noreturn]] void undo_full(std::size_t bytes);
  std::string object_of(std::string_view name) const;
  // Where the next piece begins: behind the last one that is claimed. Throws Error when that one is not in the area.
  std::size_t end_of_claimed(std::string_view name) const;
  // Throws Error when the piece that an earlier incarnation has claimed is another one.
  void expect_same(const Piece& piece, std::string_view name, std::size_t bytes, std::size_t offset,
                   const PieceKind& kind) const;
  // A piece of the engine that an earlier incarnation has claimed, or nullptr.
  std::byte* claimed_before(std::string_view name, std::size_t bytes);
  // What the area must hold once every table has so many rows.
  std::uint64_t bytes_with_tables_of(std::uint64_t rows) const;

  std::string stage_;
  ipc::UndoLog& undo_;
  HashSeed hash_seed_;
  std::size_t claimed_ = 0;  // By this incarnation.
  std::uint64_t undo_full_for_ = 0;
  std::size_t undo_lacks_bytes_ = 0;  // When it was full last.
  std::vector<ClaimedTable> tables_;
};

}  // namespace sluice::detail
