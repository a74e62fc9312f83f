// SPDX-License-Identifier: Apache-2.0
// A worker's state and undo log without the worker, for tests of what handlers keep.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include <sluice/ipc/commit.hpp>
#include <sluice/state.hpp>

namespace sluice::test {

inline constexpr std::size_t kStateBytes = std::size_t{1} << 20;

// A region's state and undo log, and the incarnations that take it over one after the other.
struct Region {
  explicit Region(std::size_t undo_bytes = std::size_t{1} << 16)
      : state{std::make_unique<Block[]>(kStateBytes / sizeof(Block))}, entries(undo_bytes) {}

  std::span<std::byte> bytes() const { return {state[0].bytes, kStateBytes}; }

  struct alignas(64) Block {
    std::byte bytes[64];
  };
  ipc::UndoHeader header{};
  ipc::CommitHeader commits{};
  std::unique_ptr<Block[]> state;
  std::vector<std::byte> entries;
};

// One process of the worker that owns the region.
struct Incarnation {
  explicit Incarnation(Region& region, std::uint64_t seed = 0)
      : undo{region.header, region.entries, region.bytes()},
        commits{region.commits, {}, {}, undo},
        area{"stage", undo, seed} {
    commits.recover();
  }
  void commit() { commits.commit(); }
  void roll_back() { ASSERT_TRUE(undo.roll_back()); }

  ipc::UndoLog undo;
  ipc::Commit commits;
  detail::StateArea area;
};

// Of a table that is the first piece of the region: its header, the index behind it, and its rows.
inline detail::TableHeader& header_of(const Region& region) {
  return *reinterpret_cast<detail::TableHeader*>(region.bytes().data() + detail::StateArea::overhead_bytes());
}
inline std::uint64_t* index_of(const Region& region) {
  return reinterpret_cast<std::uint64_t*>(&header_of(region) + 1);
}
template <class Row>
Row* rows_of(const Region& region, std::uint64_t rows) {
  return reinterpret_cast<Row*>(reinterpret_cast<std::byte*>(&header_of(region)) +
                                detail::table_front_bytes(rows));
}

}  // namespace sluice::test
