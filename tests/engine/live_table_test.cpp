// SPDX-License-Identifier: Apache-2.0
// The table that a program draws on its terminal: in its own place also when what it says is long, or many lines.
#include "live_table.hpp"

#include <poll.h>
#include <pty.h>

#include <sluice/detail/columns.hpp>
#include <sluice/detail/descriptor.hpp>

#include "pipelines.hpp"
#include "processes.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

TEST(LiveTable, FitsIntoItsTerminal) {
  EXPECT_THAT(detail::fitted("one\ntwo\n", {.rows = 3, .columns = 3}), ElementsAre("on", "tw"));
  EXPECT_THAT(detail::fitted("a\nb\nc\nd\n", {.rows = 4, .columns = 80}),
              ElementsAre("a", "b", "... 2 lines more"));
  EXPECT_THAT(detail::fitted("größer", {.rows = 24, .columns = 4}), ElementsAre("grö"));
  EXPECT_THAT(detail::fitted("日本語", {.rows = 24, .columns = 6}), ElementsAre("日本"));
  EXPECT_EQ(detail::columns_of("日本 größer"), 11U);
  EXPECT_THAT(detail::fitted("one\n", {.rows = 0, .columns = 0}), ElementsAre("o"));
}

// What stands on a terminal that knows the line end, CPL and ED, and breaks what is too long.
class Screen {
 public:
  Screen(std::size_t rows, std::size_t columns) : rows_{rows}, columns_{columns}, lines_(1) {}

  // What a terminal does with the bytes of a whole look.
  void take(const std::string& bytes) {
    for (std::size_t at = 0; at < bytes.size(); ++at) {
      const char c = bytes[at];
      if (c == '\r') continue;
      if (c == '\n') {
        go_down();
      } else if (c != '\033') {
        if (lines_[row_].size() == columns_) go_down();
        lines_[row_] += c;
      } else {
        const std::size_t end = bytes.find_first_not_of("[0123456789", at + 1);
        if (end == std::string::npos) return;
        if (bytes[end] == 'F')
          row_ -= std::min<std::size_t>({row_, std::stoul(bytes.substr(at + 2)), rows_ - 1});
        if (bytes[end] == 'J') {
          lines_.resize(row_ + 1);
          lines_[row_].clear();
        }
        others_ += bytes[end] != 'F' && bytes.substr(at, end - at + 1) != "\033[J" ? 1 : 0;
        at = end;
      }
    }
  }
  std::string text() const {
    std::string text;
    for (const std::string& line : lines_)
      text += line + "\n";
    return text;
  }
  int other_sequences() const { return others_; }

 private:
  void go_down() {
    if (++row_ == lines_.size()) lines_.emplace_back();
  }

  std::size_t rows_;
  std::size_t columns_;
  std::vector<std::string> lines_;  // Also those that have left it at the top.
  std::size_t row_ = 0;
  int others_ = 0;
};

struct NobodyThere {
  void operator()(const Item&) const {
    throw Unavailable{
        "\033[2J\033[Hthe service at a.very.long.name.in.a.network.example.org:12345 says nothing"};
  }
};

// A program whose workers wait outside, on a terminal of its own.
class OnATerminal {
 public:
  OnATerminal(unsigned short rows, unsigned short columns, const char* name) {
    const winsize size{rows, columns, 0, 0};
    int terminal = -1;
    pid_ = ::forkpty(&terminal, nullptr, nullptr, &size);
    if (pid_ == 0) {
      ::setenv("TERM", name, 1);
      Pipeline pipeline{"alone"};
      pipeline.source<Numbers>("numbers", 100U).by(&Item::number).to<NobodyThere>("sink", {.workers = 12});
      std::vector<std::string> words{
          "program",           "--set", "stats.interval=20ms", "--set", "placement.policy=none", "--set",
          "memory.huge=never", "--set", "outside.patience=0",  "--set", "observe.socket=off"};
      std::vector<char*> argv;
      argv.reserve(words.size());
      for (std::string& word : words)
        argv.push_back(word.data());
      ::_exit(sluice::main(static_cast<int>(argv.size()), argv.data(), pipeline));
    }
    terminal_ = detail::Descriptor{terminal};
  }
  ~OnATerminal() {
    while (!over_) {
      ::kill(pid_, SIGTERM);
      take();
      over_ = ::waitpid(pid_, nullptr, WNOHANG) == pid_;
    }
  }
  OnATerminal(const OnATerminal&) = delete;
  OnATerminal& operator=(const OnATerminal&) = delete;

  const std::string& take() {
    pollfd entry{terminal_.get(), POLLIN, 0};
    char piece[4096];
    if (::poll(&entry, 1, 10) == 1) {
      const ssize_t got = ::read(terminal_.get(), piece, sizeof(piece));
      if (got > 0) drawn_.append(piece, static_cast<std::size_t>(got));
    }
    return drawn_;
  }
  // Until a worker's wait has been said, by the table or the log, and that much was drawn behind it.
  std::string after(const std::string& what, int times) {
    EXPECT_TRUE(eventually([&] {
      take();
      std::size_t at = drawn_.find("waits outside");
      for (int seen = 0; at != std::string::npos && seen < times; ++seen)
        at = drawn_.find(what, at + 1);
      return at != std::string::npos;
    })) << drawn_;
    return drawn_;
  }

 private:
  pid_t pid_ = -1;
  detail::Descriptor terminal_;
  std::string drawn_;
  bool over_ = false;
};

class TableOnATerminal : public WithProcesses {};

int count_of(const std::string& text, const std::string& what) {
  int count = 0;
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; ++at)
    ++count;
  return count;
}

void expect_one_table(unsigned short rows, unsigned short columns) {
  OnATerminal program{rows, columns, "xterm"};
  const std::string drawn = program.after("\033[J", 20);
  Screen screen{rows, columns};
  screen.take(drawn.substr(0, drawn.rfind("\033[J")));
  // The log above it may have anything; what a table leaves behind has its heading.
  EXPECT_LE(count_of(screen.text(), "stage          n"), 1) << screen.text();
  EXPECT_EQ(screen.other_sequences(), 0) << drawn;
  EXPECT_THAT(drawn, AllOf(HasSubstr("\\x1b[2J"), Not(HasSubstr("\033[2J"))));
  if (rows < 12) {
    EXPECT_THAT(drawn, HasSubstr(" lines more"));
  }
}

TEST_F(TableOnATerminal, StaysInItsPlaceWhileWorkersSayMuch) {
  expect_one_table(24, 80);
}

TEST_F(TableOnATerminal, StaysInItsPlaceOnASmallOne) {
  expect_one_table(10, 40);
}

TEST_F(TableOnATerminal, IsNotDrawnWhereTheCursorCannotBeMoved) {
  for (const char* name : {"dumb", ""}) {
    OnATerminal program{24, 80, name};
    EXPECT_THAT(program.after("waits outside", 3), Not(HasSubstr("\033"))) << name;
  }
}

}  // namespace
}  // namespace sluice::test
