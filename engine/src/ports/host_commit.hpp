// SPDX-License-Identifier: Apache-2.0
// The commit of one inlet or outlet: all lanes of the end and the number of its events move together, so that
// a host that is resumed knows exactly what it has pushed and pulled.
//
// Used by the host, by the thread that uses the end; and by the master once the host is dead, for what it has left half-way.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>

#include <sluice/ipc/commit.hpp>
#include <sluice/ipc/undo.hpp>

#include "layout/wiring.hpp"

namespace sluice::detail {

class HostCommit {
 public:
  // Finishes what a former life of the host has left half-way; make the ends of the lanes after this. Throws
  // Error when the record is corrupt.
  HostCommit(const Wiring& wiring, NodeIndex node);

  // Where the words of the lanes go that move, before commit().
  ipc::Commit& record() noexcept { return commit_; }
  // `count` events were pushed or pulled since the pipeline began.
  void commit(std::uint64_t count) noexcept {
    commit_.move(end_.count_word, count);
    commit_.commit();
  }
  // The same where one word moves, and nothing was recorded.
  void commit(std::uint64_t word, std::uint64_t value, std::uint64_t count) noexcept {
    commit_.commit_all(ipc::RedoEntry{word, value}, ipc::RedoEntry{end_.count_word, count});
  }
  std::uint64_t count() const noexcept;

 private:
  EndMemory end_;
  std::span<std::atomic<std::uint64_t>> cursors_;  // Of the host.
  ipc::UndoLog nothing_to_undo_;
  ipc::Commit commit_;
};

}  // namespace sluice::detail
