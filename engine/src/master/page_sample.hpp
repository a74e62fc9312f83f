// SPDX-License-Identifier: Apache-2.0
// On which node the memory of the lanes and regions is, a sample of pages at a time. Used by the master only.
//
// A system call for each look, with at most kPagesAsked pages; none at all on a machine with one node. Pages that are
// elsewhere are counted and told, and stay there: the kernel moves no page that several processes have mapped unless it
// is asked by root, and whoever has moved them may have had a reason.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "layout/placement.hpp"
#include "layout/wiring.hpp"

namespace sluice::detail {

class PageSample {
 public:
  static constexpr std::size_t kPagesAsked = 64;

  PageSample(const Wiring& wiring, const Placement& placement);

  // Looks at the next pages. 0, or the errno value of a kernel that does not tell: it is not asked again.
  int look() noexcept;
  bool idle() const noexcept { return pieces_.empty(); }

 private:
  struct Piece {
    std::span<const std::byte> memory;
    int node;
  };
  void add(std::span<const std::byte> memory, int node);

  const Wiring& wiring_;
  std::vector<Piece> pieces_;
  std::size_t next_piece_ = 0;
  std::size_t round_ = 0;
};

}  // namespace sluice::detail
