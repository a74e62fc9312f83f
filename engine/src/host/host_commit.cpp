// SPDX-License-Identifier: Apache-2.0
#include "host/host_commit.hpp"

#include <algorithm>

#include <sluice/error.hpp>

namespace sluice::detail {
namespace {

const EndLayout& end_of(const Layout& layout, std::size_t node) {
  return *std::find_if(layout.ends.begin(), layout.ends.end(),
                       [node](const EndLayout& end) { return end.node == node; });
}

template <class T>
T* part_of(const Wiring& wiring, std::size_t offset) {
  return reinterpret_cast<T*>(wiring.segment.plain(kHostProcess).data() + offset);
}

}  // namespace

HostCommit::HostCommit(const Wiring& wiring, std::size_t node)
    : end_{end_of(wiring.layout, node)},
      view_{view_of(wiring.layout, wiring.segment, kHostProcess)},
      nothing_to_undo_{*part_of<ipc::UndoHeader>(wiring, end_.undo), {}, {}},
      commit_{*part_of<ipc::CommitHeader>(wiring, end_.commit),
              {part_of<ipc::RedoEntry>(wiring, end_.record), end_.entries},
              view_.cursors,
              nothing_to_undo_} {
  if (!commit_.recover()) {
    throw Error{{"take over", "'" + wiring.graph.nodes[node].name + "'", "its commit record is corrupt",
                 "remove the segment's file and start the pipeline anew"}};
  }
}

std::uint64_t HostCommit::count() const noexcept {
  return view_.cursors[end_.count_word].load(std::memory_order_relaxed);  // relaxed: own word.
}

}  // namespace sluice::detail
