// SPDX-License-Identifier: Apache-2.0
// On which node the memory of the lanes and regions is, a sample of pages at a time. Used by the master only.
//
// A system call for each look, with at most kPagesAsked pages; none at all on a machine with one node. Where it is to be is what the
// places say now, which a new plan may have changed. Pages that are elsewhere are counted, and their pieces marked.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "layout/placement.hpp"
#include "layout/wiring.hpp"
#include "master/page_mover.hpp"

namespace sluice::detail {

class PageSample {
 public:
  static constexpr std::size_t kPagesAsked = 64;

  PageSample(const Wiring& wiring, const Placement& placement);

  // Looks at the next pages. 0, or the errno value of a kernel that does not tell: it is not asked again.
  int look() noexcept;
  bool idle() const noexcept { return pieces_.empty(); }
  // A page of some piece is elsewhere, and the piece may be moved.
  bool any_to_move() const noexcept;
  std::span<PagePiece> pieces() noexcept { return pieces_; }

 private:
  void add(std::span<const std::byte> memory, ProcessIndex reader);
  int node_of(ProcessIndex process) const noexcept;

  const Wiring& wiring_;
  const Placement& placement_;
  std::vector<PagePiece> pieces_;
  std::size_t next_piece_ = 0;
  std::size_t round_ = 0;
};

}  // namespace sluice::detail
