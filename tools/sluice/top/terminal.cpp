// SPDX-License-Identifier: Apache-2.0
// Compiled alone: the names of ncurses' macros are words that others use.
#include "top/terminal.hpp"

#include <algorithm>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <poll.h>
#include <unistd.h>

#define NCURSES_NOMACROS 1
#include <ncurses.h>

#include <sluice/detail/columns.hpp>
#include <sluice/error.hpp>

namespace sluice::command {

struct Terminal::Screen {
  SCREEN* handle = nullptr;
  bool coloured = false;
};

namespace {

constexpr short kAlarmPair = 1;

volatile std::sig_atomic_t came = 0;

// ncurses would end the program with the status of a failure.
void hear(int signal) {
  if (std::signal(signal, [](int given) { came = given; }) == SIG_IGN) std::signal(signal, SIG_IGN);
}

attr_t attributes_of(TopStyle style, bool coloured) {
  switch (style) {
    case TopStyle::heading:
      return A_REVERSE;
    case TopStyle::stage:
      return A_BOLD;
    case TopStyle::alarm:
      return coloured ? static_cast<attr_t>(COLOR_PAIR(kAlarmPair)) | A_BOLD : A_STANDOUT;
    case TopStyle::plain:
      return A_NORMAL;
  }
  return A_NORMAL;
}

void put(int line, const std::string& text, attr_t attributes) {
  const auto room = static_cast<std::size_t>(std::max(COLS, 0));
  const std::string shown{detail::cut_to_columns(text, room)};
  ::attrset(static_cast<int>(attributes));
  ::mvaddnstr(line, 0, shown.c_str(), static_cast<int>(shown.size()));
  ::attrset(A_NORMAL);
}

// Whoever ignores SIGHUP would look for keys for ever, without a pause.
bool is_gone() {
  pollfd entry{STDIN_FILENO, 0, 0};
  return ::poll(&entry, 1, 0) == 1 && (entry.revents & (POLLHUP | POLLERR | POLLNVAL)) != 0;
}

}  // namespace

Terminal::Terminal(bool coloured) : screen_{std::make_unique<Screen>()} {
  std::setlocale(LC_CTYPE, "");
  screen_->handle = ::newterm(nullptr, stdout, stdin);
  if (screen_->handle == nullptr) {
    const char* name = std::getenv("TERM");
    throw Error{{"draw on this terminal", name == nullptr ? "TERM is not set" : std::string{"TERM="} + name,
                 "its description is not known", "use --once"}};
  }
  hear(SIGINT);
  hear(SIGTERM);
  ::cbreak();
  ::noecho();
  ::keypad(stdscr, TRUE);
  ::curs_set(0);  // Not every terminal can hide it.
  screen_->coloured = coloured && ::has_colors() && ::start_color() == OK;
  if (screen_->coloured) {
    ::use_default_colors();
    ::init_pair(kAlarmPair, COLOR_RED, -1);
  }
}

Terminal::~Terminal() {
  ::endwin();
  ::delscreen(screen_->handle);
}

int Terminal::columns() const noexcept {
  return COLS;
}

int Terminal::lines() const noexcept {
  return LINES;
}

void Terminal::draw(const std::vector<TopLine>& text, const std::string& last) {
  ::erase();
  const int room = std::max(LINES - 1, 0);
  for (int line = 0; line < std::min(room, static_cast<int>(text.size())); ++line) {
    const TopLine& each = text[static_cast<std::size_t>(line)];
    put(line, each.text, attributes_of(each.style, screen_->coloured));
  }
  put(room, last, A_REVERSE);
  ::refresh();
}

int Terminal::signal_that_came() noexcept {
  return came;
}

int Terminal::get(std::chrono::milliseconds most) {
  ::wtimeout(stdscr, static_cast<int>(most.count()));
  const int key = ::wgetch(stdscr);
  switch (key) {
    case ERR:
      if (is_gone()) throw Error{{"read keys from", "the terminal", "it is gone", ""}};
      return kNothing;
    case KEY_UP:
      return kUp;
    case KEY_DOWN:
      return kDown;
    case KEY_PPAGE:
      return kPageUp;
    case KEY_NPAGE:
      return kPageDown;
    case KEY_BACKSPACE:
    case '\b':
    case 0x7f:
      return kErase;
    case KEY_RESIZE:
      ::clearok(curscr, TRUE);  // What the terminal has made of the old lines is not known.
      return kResized;
    default:
      return key;
  }
}

}  // namespace sluice::command
