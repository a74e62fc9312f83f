// SPDX-License-Identifier: Apache-2.0
// A table that is drawn on a terminal again and again, in its own place.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace sluice::detail {

struct TerminalSize {
  std::size_t rows = 24;
  std::size_t columns = 80;
};

// The lines of `text` as a terminal of that size has room for them: none reaches the last column, where some terminals
// begin a new line, and all but the last row are used at most. Where lines are left out the last one says how many.
std::vector<std::string> fitted(const std::string& text, TerminalSize size);

// Whether standard error is a terminal on which the cursor can be moved.
bool can_draw_table();

class LiveTable {
 public:
  explicit LiveTable(bool shown) : shown_{shown} {}
  ~LiveTable() { clear(); }
  LiveTable(const LiveTable&) = delete;
  LiveTable& operator=(const LiveTable&) = delete;

  void draw(const std::string& text);
  void clear();

 private:
  bool shown_;
  std::vector<std::size_t> drawn_;  // The columns of each line that stands there.
};

}  // namespace sluice::detail
