// SPDX-License-Identifier: Apache-2.0
// The log of a pipeline whose program draws a live table: two writers to one terminal would write into each other's
// lines, so that the program reads the log from a pipe, and shows it where the table has just been cleared away.
//
// A program that is dead or stands still reads nothing: the pipe is larger than what is said at a time, and what it does
// not take the log holds back.
#pragma once

#include <functional>

#include <sluice/detail/descriptor.hpp>

namespace sluice::detail {

class LogAboveTable {
 public:
  LogAboveTable();  // Throws Error when there is no descriptor to be had.

  // For Engine::log_to().
  int descriptor() const noexcept { return writing_.get(); }
  // What has been said since the last call, to standard error; `clear` before the first byte of it. Does not block but
  // for the terminal.
  void show(const std::function<void()>& clear);

 private:
  Descriptor reading_;
  Descriptor writing_;
};

}  // namespace sluice::detail
