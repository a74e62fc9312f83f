// SPDX-License-Identifier: Apache-2.0
// Fuzz target: recovery of a region whose commit record, undo log, cursors and state are arbitrary. It is
// refused, or what it leaves holds the invariants of commit.hpp and undo.hpp, and can be worked with.
#include <array>
#include <atomic>
#include <vector>

#include <sluice/ipc/commit.hpp>
#include <sluice/ipc/undo.hpp>

#include "bytes.hpp"

namespace {

using namespace sluice;
using fuzz::require;

constexpr std::size_t kEntryBytes = 256;
constexpr std::size_t kStateBytes = 128;
constexpr std::size_t kCursors = 12;
constexpr std::size_t kRecord = 6;

// Each part from the heap, so that one byte beyond any of them is found out.
template <class T>
struct Part {
  explicit Part(std::size_t count)
      : memory{static_cast<T*>(std::aligned_alloc(64, bytes(count)))}, size{count} {
    std::memset(static_cast<void*>(memory), 0, bytes(count));
  }
  ~Part() { std::free(memory); }
  Part(const Part&) = delete;
  Part& operator=(const Part&) = delete;
  static std::size_t bytes(std::size_t count) { return (count * sizeof(T) + 63) / 64 * 64; }
  std::span<T> span() const { return {memory, size}; }
  std::span<std::byte> raw() const { return {reinterpret_cast<std::byte*>(memory), size * sizeof(T)}; }

  T* memory;
  std::size_t size;
};

// What an event changes is as often as not what the one before it has.
void handle_event(ipc::UndoLog& log, fuzz::Bytes& input, bool& is_full) {
  const std::span<std::byte> state = log.state();
  std::array<std::byte, kStateBytes> before{};
  std::copy(state.begin(), state.end(), before.begin());
  log.begin_event(log.event() + 1);
  for (std::size_t changes = input.below(3); changes != 0 && !input.empty(); --changes) {
    const bool same = input.below(2) == 0;
    const std::size_t offset = same ? 8 : input.below(kStateBytes);
    const std::size_t bytes = same ? 12 : std::min(input.below(40), kStateBytes - offset);
    is_full = !log.note(state.data() + offset, bytes);
    if (is_full) break;
    std::fill_n(state.begin() + static_cast<std::ptrdiff_t>(offset), bytes, input.take<std::byte>());
  }
  if (input.below(4) != 0) return;
  require(log.roll_back(log.before_event()), "what was noted can be rolled back");
  require(std::equal(state.begin(), state.end(), before.begin()), "rolled back is as before");
}

void work_on(ipc::Commit& commit, ipc::UndoLog& log, fuzz::Bytes& input) {
  for (int batch = 0; batch < 4; ++batch) {
    const std::vector<std::byte> before{log.state().begin(), log.state().end()};
    bool is_full = false;
    for (std::size_t events = input.below(6); events != 0 && !is_full; --events)
      handle_event(log, input, is_full);
    if (input.below(4) == 0) {
      require(log.roll_back(), "a batch can be rolled back");
      require(std::equal(before.begin(), before.end(), log.state().begin()), "rolled back is as committed");
    }
    commit.move(input.below(kCursors), input.take<std::uint64_t>());
    commit.commit();
    require(log.tail() == 0 && log.base() == 0, "a commit empties the log");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Bytes input{data, size};
  Part<ipc::CommitHeader> header{1};
  Part<ipc::UndoHeader> undo{1};
  Part<ipc::RedoEntry> record{kRecord};
  Part<std::atomic<std::uint64_t>> cursors{kCursors};
  Part<std::byte> entries{kEntryBytes};
  Part<std::byte> state{kStateBytes};
  input.fill(header.raw());
  input.fill(undo.raw());
  input.fill(record.raw());
  input.fill(entries.raw());
  input.fill(state.raw());
  ipc::UndoLog log{*undo.memory, entries.span(), state.span()};
  ipc::Commit commit{*header.memory, record.span(), cursors.span(), log};
  if (!commit.recover()) return 0;
  require(header.memory->committed.load() == header.memory->applied.load(), "what is committed is applied");
  require(log.tail() == log.base() && log.tail() <= kEntryBytes, "nothing is left to undo");
  require(commit.recover(), "a second recovery finds nothing to do");
  work_on(commit, log, input);
  return 0;
}
