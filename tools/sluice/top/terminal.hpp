// SPDX-License-Identifier: Apache-2.0
// A terminal as `sluice top` needs one: lines from the top down, a last one, and keys. By ncursesw.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "top/screen.hpp"

namespace sluice::command {

class Terminal {
 public:
  // What get() gives besides characters.
  static constexpr int kNothing = -1;
  static constexpr int kUp = 0x1000;
  static constexpr int kDown = 0x1001;
  static constexpr int kPageUp = 0x1002;
  static constexpr int kPageDown = 0x1003;
  static constexpr int kErase = 0x1004;  // Backspace.
  static constexpr int kResized = 0x1005;

  // Throws Error when standard output is no terminal that can be drawn on. One at a time in a process.
  explicit Terminal(bool coloured);
  ~Terminal();  // Gives the terminal back as it was.
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  int columns() const noexcept;
  int lines() const noexcept;
  // What does not fit is left out: of a line its end, of the lines the last ones. `last` stands in the last line.
  void draw(const std::vector<TopLine>& text, const std::string& last);
  // A key, or kNothing once the time is over, or a signal came. Throws Error when the terminal is gone.
  int get(std::chrono::milliseconds most);
  // SIGINT (Ctrl-C) or SIGTERM, which end nothing while there is one of these: whoever has it is to end by it. 0: none came.
  static int signal_that_came() noexcept;

 private:
  struct Screen;
  std::unique_ptr<Screen> screen_;
};

}  // namespace sluice::command
