// SPDX-License-Identifier: Apache-2.0
// The memory keeper: a process that does behind the start what takes long with the segment's pages, and is in no worker's
// way. It has the kernel put huge pages in the place of small ones, locks the memory if that is asked for, and then stays
// as long as its master, since what it has locked is locked only while it lives.
//
// Forked by the master, which looks after it and says how it went; it dies with its master, and the next one forks
// another: pages that are huge already cost it nothing.
#pragma once

#include <chrono>
#include <sys/types.h>

#include "layout/wiring.hpp"
#include "master/news.hpp"

namespace sluice::detail {

class MemoryKeeper {
 public:
  // Both must outlive it.
  MemoryKeeper(const Wiring& wiring, News& news) noexcept : wiring_{wiring}, news_{news} {}

  void begin();
  // When to look after it; never, when there is nothing to keep.
  std::chrono::nanoseconds next_look() const noexcept { return next_look_; }
  void look_if_due();

 private:
  bool workers_are_ready() const noexcept;
  void start();
  void tell_once();

  const Wiring& wiring_;
  News& news_;
  pid_t pid_ = 0;
  std::chrono::nanoseconds start_by_{0};
  bool told_ = false;
  std::chrono::nanoseconds next_look_{std::chrono::nanoseconds::max()};
};

}  // namespace sluice::detail
