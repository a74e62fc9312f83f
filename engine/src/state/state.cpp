// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <cstring>

#include <fmt/format.h>

#include <sluice/detail/pages.hpp>
#include <sluice/printable.hpp>
#include <sluice/units.hpp>

#include "sluice/detail/state_area.hpp"
#include "state/oversize.hpp"

namespace sluice::detail {
namespace {

constexpr std::size_t kMostPieces = 64;
constexpr std::size_t kNameBytes = 40;

// The directory at the front of a state area. An entry counts once `count` covers it; a process that dies
// before has claimed nothing, and its replacement writes the same again.
struct Piece {
  char name[kNameBytes];
  std::uint64_t offset;
  std::uint64_t bytes;
};
struct Directory {
  std::atomic<std::uint64_t> count;
  std::uint64_t reserved[7];
  Piece pieces[kMostPieces];
};
static_assert(sizeof(Directory) % StateArea::kAlignment == 0);

std::string_view name_of(const Piece& piece) {
  return {piece.name, ::strnlen(piece.name, kNameBytes)};
}

constexpr std::string_view kOwnPrefix = "sluice.";

std::string stage_variable(const std::string& stage, std::string_view key) {
  return fmt::format("--set stage.{}.{}=", stage, key);
}

}  // namespace

std::size_t StateArea::overhead_bytes() noexcept {
  return sizeof(Directory);
}

std::byte* StateArea::claim(std::string_view name, std::size_t bytes, std::span<const std::byte> initial) {
  const std::span<std::byte> area = undo_.state();
  auto& directory = *reinterpret_cast<Directory*>(area.data());
  const std::uint64_t count = directory.count.load(std::memory_order_relaxed);  // relaxed: own region.
  const std::string object = fmt::format("'{}' of stage {}", name, stage_);
  if (claimed_ == kMostPieces || name.size() >= kNameBytes) {
    throw Error{
        {"keep the state", object, "a stage has at most 64 pieces with names below 40 characters", ""}};
  }
  if (name.starts_with(kOwnPrefix)) {
    if (std::byte* const found = claimed_before(name, bytes); found != nullptr) return found;
    claimed_ = std::max<std::size_t>(claimed_, count);
    if (claimed_ >= kMostPieces) throw Error{{"keep the state", object, "the stage has too many pieces", ""}};
  }
  Piece& piece = directory.pieces[claimed_];
  const std::size_t offset = end_of_claimed(object);
  if (claimed_ < count) {
    if (name_of(piece) != name || piece.bytes != bytes || piece.offset != offset || offset > area.size() ||
        bytes > area.size() - offset) {
      throw Error{{"take over the state", object,
                   "an earlier process of this worker kept another piece there",
                   "claim the same state in the same order every time"}};
    }
    ++claimed_;
    return area.data() + offset;
  }
  if (bytes > area.size() || offset > area.size() - bytes) {
    throw Error{{"keep the state", object,
                 fmt::format("it takes {} and {} are left", format_bytes(bytes),
                             format_bytes(offset < area.size() ? area.size() - offset : 0)),
                 fmt::format("raise {}{}", stage_variable(stage_, "state.bytes"),
                             format_bytes(std::bit_ceil(offset + bytes)))}};
  }
  std::byte* memory = area.data() + offset;
  if (!initial.empty()) std::memcpy(memory, initial.data(), initial.size());
  std::fill(std::begin(piece.name), std::end(piece.name), '\0');
  std::copy(name.begin(), name.end(), piece.name);
  piece.offset = offset;
  piece.bytes = bytes;
  ++claimed_;
  // [state.claim] release: the piece and its first value before the count; pairs with find(), and
  // with the confirmed death of this process, after which a replacement reads the count above.
  directory.count.store(count + 1, std::memory_order_release);
  return memory;
}

std::size_t StateArea::end_of_claimed(const std::string& object) const {
  if (claimed_ == 0) return sizeof(Directory);
  const std::span<const std::byte> area = undo_.state();
  const Piece& last = reinterpret_cast<const Directory*>(area.data())->pieces[claimed_ - 1];
  // A piece of the engine is claimed behind all that there are: what stands before it need not have been checked.
  if (last.offset > area.size() || last.bytes > area.size() - last.offset) {
    throw Error{
        {"keep the state", object,
         fmt::format(
             "the piece before it, '{}', ends beyond the state: a stray store has changed the directory",
             printable(name_of(last))),
         "start the pipeline anew, and look for that store with AddressSanitizer"}};
  }
  return detail::round_up(last.offset + last.bytes, kAlignment);
}

std::byte* StateArea::claimed_before(std::string_view name, std::size_t bytes) {
  const std::span<std::byte> area = undo_.state();
  const std::byte* const found = find(area, name, bytes);
  if (found == nullptr) return nullptr;
  // The pieces of the handler are counted; this one stands among them if the handler was made before.
  const auto& directory = *reinterpret_cast<const Directory*>(area.data());
  const auto offset = static_cast<std::uint64_t>(found - area.data());
  if (claimed_ < kMostPieces && directory.pieces[claimed_].offset == offset) ++claimed_;
  return area.data() + offset;
}

const std::byte* StateArea::find(std::span<const std::byte> area, std::string_view name,
                                 std::size_t bytes) noexcept {
  const auto& directory = *reinterpret_cast<const Directory*>(area.data());
  // [state.claim] acquire: the pieces before the count; pairs with claim(). What it says is not trusted.
  const std::uint64_t count = directory.count.load(std::memory_order_acquire);
  for (std::uint64_t i = 0; i < count && i < kMostPieces; ++i) {
    const Piece piece = directory.pieces[i];
    if (name_of(piece) != name || piece.bytes != bytes) continue;
    if (piece.offset % kAlignment != 0 || piece.offset > area.size() || bytes > area.size() - piece.offset) {
      return nullptr;
    }
    return area.data() + piece.offset;
  }
  return nullptr;
}

void StateArea::undo_full(std::size_t bytes) const {
  throw UndoFull{{"change the state of stage", stage_,
                  fmt::format("one event changes more than its undo log of {} holds ({} more)",
                              format_bytes(undo_.capacity_bytes()), format_bytes(bytes)),
                  fmt::format("raise {}{}", stage_variable(stage_, "undo.bytes"),
                              format_bytes(2 * std::bit_ceil(undo_.capacity_bytes() + bytes)))}};
}

void StateArea::table_full(std::string_view table, std::uint64_t rows) const {
  // The setting holds for every table of the stage: none may become smaller by it.
  std::uint64_t most = rows;
  for (const ClaimedTable& each : tables_)
    most = std::max(most, each.rows);
  const std::uint64_t bytes = std::bit_ceil(bytes_with_tables_of(2 * most));
  throw Oversize{{"insert into the table", fmt::format("'{}' of stage {}", table, stage_),
                  fmt::format("all its {} rows are taken", rows),
                  fmt::format("raise {}{} and {}{}", stage_variable(stage_, "table.rows"), 2 * most,
                              stage_variable(stage_, "state.bytes"), format_bytes(bytes))}};
}

std::uint64_t StateArea::bytes_with_tables_of(std::uint64_t rows) const {
  const auto& directory = *reinterpret_cast<const Directory*>(undo_.state().data());
  const Piece& last = directory.pieces[claimed_ - 1];
  std::uint64_t bytes = last.offset + last.bytes;
  for (const ClaimedTable& table : tables_)
    bytes += (detail::table_slots(rows) - detail::table_slots(table.rows)) * table.row_bytes;
  return bytes;
}

void StateArea::no_such_elements(std::size_t have, std::size_t first, std::size_t count) const {
  throw Oversize{{"change the state of stage", stage_,
                  fmt::format("{} elements from {} on were asked for, of an array of {}", count, first, have),
                  "check the numbers that an event brings, or make the array larger"}};
}

void StateArea::table_corrupt(std::string_view table) const {
  throw Error{{"use the table", fmt::format("'{}' of stage {}", table, stage_),
               "its rows and their count do not fit: a stray store has changed them",
               "start the pipeline anew, and look for that store with AddressSanitizer"}};
}

}  // namespace sluice::detail
