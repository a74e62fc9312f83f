// SPDX-License-Identifier: Apache-2.0
// What a process that the master forks inherits of the lanes. Every lane takes two mappings, and in a pipeline in which all
// send to all there are as many lanes as the square of its workers: were each process to have all of them, the kernel would
// take more memory for their mappings than the pipeline for its events, and longer for a fork than for anything else. So a
// worker of a large pipeline has its own lanes and no others; nothing of a small one is any different.
//
// Used by the master only, in one thread.
#pragma once

#include <cstddef>

#include "layout/wiring.hpp"

namespace sluice::detail {

// From so many mappings on: half a megabyte of the kernel's memory for each process.
inline constexpr std::size_t kInheritedMappings = 2048;

// Once, before the first fork.
inline void choose_what_is_inherited(const Wiring& wiring) noexcept {
  if (wiring.segment().ring_mappings() > kInheritedMappings) wiring.segment().hide_rings_from_children();
}

// While it lives, whoever is forked has the lanes of one worker, or all.
class InheritedRings {
 public:
  explicit InheritedRings(const Wiring& wiring) noexcept;
  InheritedRings(const Wiring& wiring, WorkerIndex worker) noexcept;
  ~InheritedRings() { show(false); }
  InheritedRings(const InheritedRings&) = delete;
  InheritedRings& operator=(const InheritedRings&) = delete;

  // False: there is no memory for it, and who needs the lanes must not be forked. errno says why.
  bool are_there() const noexcept { return there_; }

 private:
  bool show(bool shown) const noexcept;

  const Wiring& wiring_;
  bool one_;
  ProcessIndex process_{0};
  bool there_;
};

}  // namespace sluice::detail
