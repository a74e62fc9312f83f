// SPDX-License-Identifier: Apache-2.0
// Brings memory of the segment to the nodes of its readers: in a short-lived process of the master's, which maps every page of it
// first, since the kernel moves what the one who asks has mapped, and takes as long as copying does. Workers run on meanwhile; one
// that touches the very page waits for its copy.
//
// The kernel moves pages that several processes have mapped for those with CAP_SYS_NICE only: it says so once.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <span>
#include <sys/types.h>

namespace sluice::detail {

// Memory that lies together and is to be on one node. `node`: below 0: anywhere.
struct PagePiece {
  std::span<const std::byte> memory;
  std::size_t reader = 0;  // The process whose node it is.
  int node = -1;
  bool elsewhere = false;                  // A page of it was found on another node.
  std::chrono::nanoseconds pause{0};       // After the last move to this node,
  std::chrono::nanoseconds not_before{0};  // and when the next one may be.
};

// Whether what has failed with that errno value may go at another time: pages in use, a mover that was killed, no process or
// memory to be had for now.
bool may_go_later(int error) noexcept;

class PageMover {
 public:
  bool under_way() const noexcept { return pid_ != 0; }
  // Begins with those that are elsewhere, and lets each be for a while then, longer each time, also where no process was to be had.
  // 0, or the errno value of a fork that failed.
  int begin(std::span<PagePiece> pieces) noexcept;
  // How it ended: 0, or an errno value, the first that the kernel has refused something with. Nothing while it is under way.
  std::optional<int> result() noexcept;

 private:
  pid_t pid_ = 0;
};

}  // namespace sluice::detail
