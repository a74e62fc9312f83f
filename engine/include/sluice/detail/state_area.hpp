// SPDX-License-Identifier: Apache-2.0
// StateArea: where the recoverable state of one worker lies, piece by piece, by name.
//
// Used by the worker's one thread; find() by any process, which must not trust what it reads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include <sluice/ipc/undo.hpp>

namespace sluice::detail {

// The state area of one worker: a directory of named pieces, claimed in the constructor of a handler, in the
// same order by each incarnation.
class StateArea {
 public:
  static constexpr std::size_t kAlignment = 64;  // Of every piece.

  StateArea(std::string stage, ipc::UndoLog& undo) : stage_{std::move(stage)}, undo_{undo} {}

  // The piece `name`. The first incarnation to ask gets memory that holds `initial` (then zeros). Throws
  // Error when the area is too small, or when the piece was claimed with another size before.
  std::byte* claim(std::string_view name, std::size_t bytes, std::span<const std::byte> initial);

  // Notes bytes that are about to change. Throws Error when the undo log is full.
  void note(const void* address, std::size_t bytes) {
    if (!undo_.note(static_cast<const std::byte*>(address), bytes)) undo_full(bytes);
  }
  [[noreturn]] void table_full(std::string_view table, std::uint64_t rows) const;
  [[noreturn]] void table_corrupt(std::string_view table) const;
  const std::string& stage() const noexcept { return stage_; }

  // Bytes that the directory takes from an area.
  static std::size_t overhead_bytes() noexcept;
  // The piece `name` in another process's area, or nullptr when it is not there (yet) or not of that size.
  static const std::byte* find(std::span<const std::byte> area, std::string_view name,
                               std::size_t bytes) noexcept;

 private:
  [[noreturn]] void undo_full(std::size_t bytes) const;

  std::string stage_;
  ipc::UndoLog& undo_;
  std::size_t claimed_ = 0;  // By this incarnation.
};

}  // namespace sluice::detail
