// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <cstring>

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>
#include <sluice/detail/pages.hpp>
#include <sluice/detail/table_index.hpp>
#include <sluice/printable.hpp>
#include <sluice/units.hpp>

#include "sluice/detail/state_area.hpp"
#include "state/directory.hpp"
#include "state/oversize.hpp"

namespace sluice::detail {
namespace {

constexpr std::string_view kOwnPrefix = "sluice.";

std::string stage_variable(const std::string& stage, std::string_view key) {
  return fmt::format("--set stage.{}.{}=", stage, key);
}

bool is_own(const Piece& piece) {
  return name_of(piece).starts_with(kOwnPrefix);
}

// What does not fit is told by its hash.
std::string fitted(const std::string& type) {
  if (type.size() < kPieceTypeBytes) return type;
  constexpr std::size_t kHashBytes = 17;
  return fmt::format("{}#{:016x}", type.substr(0, kPieceTypeBytes - 1 - kHashBytes),
                     hash_bytes(type.data(), type.size()));
}

// Fills a field that ends with a zero.
template <std::size_t kBytes>
void write_text(char (&field)[kBytes], std::string_view text) {
  std::fill(std::begin(field), std::end(field), '\0');
  std::copy(text.begin(), text.end(), field);
}

Oversize undo_full_error(std::string_view who, const std::string& stage, std::size_t has, std::size_t lacks) {
  return Oversize{{"change the state of stage", stage,
                   fmt::format("{} changes more than its undo log of {} holds ({} more)", who,
                               format_bytes(has), format_bytes(lacks)),
                   fmt::format("raise {}{}", stage_variable(stage, "undo.bytes"),
                               format_bytes(2 * std::bit_ceil(has + lacks)))}};
}

}  // namespace

std::size_t StateArea::overhead_bytes() noexcept {
  return sizeof(Directory);
}

std::byte* StateArea::claim(std::string_view name, std::size_t bytes, std::span<const std::byte> initial,
                            const PieceKind& kind) {
  const std::span<std::byte> area = undo_.state();
  auto& directory = *reinterpret_cast<Directory*>(area.data());
  const std::uint64_t count = directory.count.load(std::memory_order_relaxed);  // relaxed: own region.
  const auto refuse = [&](const std::string& why, const std::string& remedy) {
    throw Error{{"keep the state", object_of(name), why, remedy}};
  };
  if (name.empty()) refuse("its name is empty", "give each piece of a stage a name of its own");
  // Events are counted from 1, the first of which is the handler's constructor. A piece that comes later would not be asked for
  // by the replacement, which is an Error then. Those of the engine are found by their names whenever they are asked for.
  if (undo_.event() != 1 && !name.starts_with(kOwnPrefix)) {
    refuse("the handler asks for it in a call, behind its constructor",
           "ask for it in the handler's constructor, and keep what that gives in a member");
  }
  if (claimed_ == kMostPieces || name.size() >= kPieceNameBytes)
    refuse("a stage has at most 64 pieces with names below 40 characters", "");
  const std::size_t of_handler = claimed_;
  if (name.starts_with(kOwnPrefix)) {
    if (std::byte* const found = claimed_before(name, bytes); found != nullptr) return found;
    claimed_ = std::max<std::size_t>(claimed_, count);
  } else {
    // Those of the engine that an earlier incarnation claimed in between, when it came to need them, are none of the handler's.
    while (claimed_ < count && claimed_ < kMostPieces && is_own(directory.pieces[claimed_]))
      ++claimed_;
  }
  if (claimed_ >= kMostPieces) refuse("the stage has too many pieces", "");
  Piece& piece = directory.pieces[claimed_];
  const std::size_t offset = end_of_claimed(name);
  if (claimed_ < count) {
    expect_same(piece, name, bytes, offset, kind);
    ++claimed_;
    return area.data() + offset;
  }
  if (bytes > area.size() || offset > area.size() - bytes) {
    refuse(fmt::format("it takes {} and {} are left", format_bytes(bytes),
                       format_bytes(offset < area.size() ? area.size() - offset : 0)),
           fmt::format("raise {}{}", stage_variable(stage_, "state.bytes"),
                       format_bytes(std::bit_ceil(offset + bytes))));
  }
  std::byte* memory = area.data() + offset;
  touch(memory, initial.size());
  touch(&piece, sizeof(piece));
  touch(&directory, sizeof(directory.count));
  if (!initial.empty()) std::memcpy(memory, initial.data(), initial.size());
  write_text(piece.name, name);
  write_text(piece.type, fitted(kind.type));
  piece.is_table = kind.rows ? 1 : 0;
  piece.offset = offset;
  piece.bytes = bytes;
  // Behind a piece of the engine that is claimed ahead of them, the handler's are where they were.
  claimed_ = of_handler < count && name.starts_with(kOwnPrefix) ? of_handler : claimed_ + 1;
  // [state.claim] release: the piece and its first value before the count; pairs with find(), find_lags(), and
  // with the confirmed death of this process, after which a replacement reads the count above.
  directory.count.store(count + 1, std::memory_order_release);
  return memory;
}

void StateArea::expect_same(const Piece& piece, std::string_view name, std::size_t bytes, std::size_t offset,
                            const PieceKind& kind) const {
  const auto refuse = [&](const std::string& why, const std::string& remedy) {
    throw Error{{"take over the state", fmt::format("'{}' of stage {}", name, stage_), why, remedy}};
  };
  const std::string other =
      name_of(piece) == name ? "an earlier process of this worker kept another piece there"
                             : fmt::format("an earlier process of this worker kept another piece there, '{}'",
                                           printable(name_of(piece)));
  const std::string in_order =
      "claim the same state in the same order every time; a source or a sink may keep its own by "
      "what it reads or writes: go on with the stream, subject or topic that it had";
  const std::span<const std::byte> area = undo_.state();
  const bool is_table = kind.rows.has_value();
  if (name_of(piece) != name || piece.offset != offset || !lies_in(piece, area.size()) ||
      piece.is_table != (is_table ? 1U : 0U)) {
    refuse(other, in_order);
  }
  const std::string type = fitted(kind.type);
  if (type_of(piece) != type) {
    refuse(fmt::format("{}: it was kept as {} and is {} now", other, printable(type_of(piece)), type),
           "go on with the program that kept it, or start the pipeline anew; a version of the state "
           "(docs/stability.md) lets a type change its name");
  }
  if (piece.bytes == bytes) return;
  if (!is_table || piece.bytes < sizeof(TableHeader)) refuse(other, in_order);
  TableHeader header{};
  std::memcpy(&header, area.data() + piece.offset, sizeof(header));
  refuse(fmt::format("it was made with {} and is asked for with {}", counted(header.rows, "row"), *kind.rows),
         *kind.rows > header.rows
             ? fmt::format("{}{} makes it larger", stage_variable(stage_, "table.rows"), *kind.rows)
             : fmt::format("{}{} keeps it as it is", stage_variable(stage_, "table.rows"), header.rows));
}

void StateArea::refuse_unclaimed() const {
  // Its constructor has caught it: what it keeps lacks something.
  if (undo_full_for_ != 0)
    throw undo_full_error("its constructor", stage_, undo_.capacity_bytes(), undo_lacks_bytes_);
  const std::span<const std::byte> area = undo_.state();
  const auto& directory = *reinterpret_cast<const Directory*>(area.data());
  const std::uint64_t count = directory.count.load(std::memory_order_relaxed);  // relaxed: own region.
  for (std::uint64_t i = claimed_; i < count && i < kMostPieces; ++i) {
    if (is_own(directory.pieces[i])) continue;
    throw Error{{"take over the state",
                 fmt::format("'{}' of stage {}", printable(name_of(directory.pieces[i])), stage_),
                 "an earlier process of this worker kept it, and this handler does not ask for it",
                 "go on with the program that kept it, ask for it all the same, or start the pipeline anew"}};
  }
}

// Of an error: a replacement that claims what was claimed before formats nothing.
std::string StateArea::object_of(std::string_view name) const {
  return fmt::format("'{}' of stage {}", name, stage_);
}

std::size_t StateArea::end_of_claimed(std::string_view name) const {
  if (claimed_ == 0) return sizeof(Directory);
  const std::span<const std::byte> area = undo_.state();
  const Piece& last = reinterpret_cast<const Directory*>(area.data())->pieces[claimed_ - 1];
  // A piece of the engine is claimed behind all that there are: what stands before it need not have been checked.
  if (last.offset > area.size() || last.bytes > area.size() - last.offset) {
    throw Error{
        {"keep the state", object_of(name),
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
    if (!lies_in(piece, area.size())) return nullptr;
    return area.data() + piece.offset;
  }
  return nullptr;
}

void StateArea::undo_full(std::size_t bytes) {
  if (undo_full_for_ == 0) undo_full_for_ = undo_.event();
  undo_lacks_bytes_ = bytes;
  tell_undo_full();
}

void StateArea::tell_undo_full() const {
  throw undo_full_error("one event", stage_, undo_.capacity_bytes(), undo_lacks_bytes_);
}

void StateArea::table_full(std::string_view table, std::uint64_t rows) const {
  // The setting holds for every table of the stage: none may become smaller by it.
  std::uint64_t most = rows;
  for (const ClaimedTable& each : tables_)
    most = std::max(most, each.rows);
  const std::uint64_t bytes = std::bit_ceil(bytes_with_tables_of(2 * most));
  throw Oversize{
      {"insert into the table", fmt::format("'{}' of stage {}", table, stage_),
       rows == 1 ? std::string{"its one row is taken"} : fmt::format("all its {} rows are taken", rows),
       fmt::format("raise {}{} and {}{}", stage_variable(stage_, "table.rows"), 2 * most,
                   stage_variable(stage_, "state.bytes"), format_bytes(bytes))}};
}

std::uint64_t StateArea::bytes_with_tables_of(std::uint64_t rows) const {
  const auto& directory = *reinterpret_cast<const Directory*>(undo_.state().data());
  const Piece& last = directory.pieces[claimed_ - 1];
  std::uint64_t bytes = last.offset + last.bytes;
  for (const ClaimedTable& table : tables_)
    bytes += table_bytes(rows, table.row_bytes) - table_bytes(table.rows, table.row_bytes);
  return bytes;
}

void StateArea::no_such_elements(std::size_t have, std::size_t first, std::size_t count) const {
  throw Oversize{{"change the state of stage", stage_,
                  fmt::format("{} from {} on {} asked for, of an array of {}", counted(count, "element"),
                              first, count == 1 ? "was" : "were", have),
                  "check the numbers that an event brings, or make the array larger"}};
}

void StateArea::table_corrupt(std::string_view table) const {
  throw Error{{"use the table", fmt::format("'{}' of stage {}", table, stage_),
               "its rows and their count do not fit: a stray store has changed them",
               "start the pipeline anew, and look for that store with AddressSanitizer"}};
}

}  // namespace sluice::detail
