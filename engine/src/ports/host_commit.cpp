// SPDX-License-Identifier: Apache-2.0
#include "ports/host_commit.hpp"

#include <sluice/error.hpp>

namespace sluice::detail {

HostCommit::HostCommit(const Wiring& wiring, NodeIndex node)
    : end_{wiring.end(node)},
      cursors_{wiring.host().cursors()},
      nothing_to_undo_{end_.undo, {}, {}},
      commit_{end_.commit, end_.record, cursors_, nothing_to_undo_} {
  if (!commit_.recover()) {
    throw Error{{"take over", "'" + wiring.node(node).name + "'", "its commit record is corrupt",
                 "remove the segment's file and start the pipeline anew"}};
  }
}

std::uint64_t HostCommit::count() const noexcept {
  return cursors_[end_.count_word].load(std::memory_order_relaxed);  // relaxed: own word.
}

}  // namespace sluice::detail
