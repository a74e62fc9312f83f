// SPDX-License-Identifier: Apache-2.0
// Descriptors that a child of this process does not have: files that are locked (flock). A lock lasts as long as any copy
// of its descriptor, so that a child that a handler forked would hold it beyond the worker's death.
#pragma once

namespace sluice::detail {

// From now on a fork() closes `fd` in the child. Some 64 at a time: one more is as any descriptor is. Any thread.
void keep_from_children(int fd) noexcept;
// Before it is closed.
void keep_no_longer(int fd) noexcept;

// The same for as long as this lives; `fd` outlives it.
class KeptFromChildren {
 public:
  explicit KeptFromChildren(int fd) noexcept : fd_{fd} { keep_from_children(fd); }
  ~KeptFromChildren() { keep_no_longer(fd_); }
  KeptFromChildren(const KeptFromChildren&) = delete;
  KeptFromChildren& operator=(const KeptFromChildren&) = delete;

 private:
  int fd_;
};

}  // namespace sluice::detail
