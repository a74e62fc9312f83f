// SPDX-License-Identifier: Apache-2.0
// `sluice top`: what it shows, as text.
#include <cstdio>
#include <cstdlib>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <utility>

#include "top/screen.hpp"
#include "watched.hpp"

namespace sluice::test {
namespace {

using command::top_screen;
using command::TopOrder;
using command::TopView;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

Stats two_stages() {
  Stats stats;
  stats.pipeline = "made up";
  stats.state = "running";
  for (const char* name : {"read", "parse"}) {
    StageStats stage;
    stage.name = name;
    for (int number = 0; number < 2; ++number) {
      WorkerStats worker;
      worker.name = std::string{name} + "/" + std::to_string(number);
      worker.pid = 100 + number;
      worker.verdict = "busy";
      stage.workers.push_back(worker);
    }
    stats.stages.push_back(stage);
  }
  stats.stages[1].workers[1].restarts = 3;
  stats.stages[1].workers[1].last_death = "crashed";
  stats.stages[1].workers[1].last_signal = 11;
  return stats;
}

std::vector<std::string> names_shown(const TopView& view) {
  std::vector<std::string> names;
  const detail::Rates rates{std::chrono::seconds{1}};
  for (const command::TopLine& line : top_screen({}, two_stages(), rates, view, std::chrono::seconds{1}).rows)
    names.push_back(line.text.substr(0, line.text.find(' ', line.text.find_first_not_of(' '))));
  return names;
}

TEST(TopScreen, HasWorkersBelowTheirStages) {
  EXPECT_THAT(names_shown({}),
              ElementsAre("read", "  read/0", "  read/1", "parse", "  parse/0", "  parse/1"));
  EXPECT_THAT(names_shown({.workers = false}), ElementsAre("read", "parse"));
}

TEST(TopScreen, IsSortedAndFiltered) {
  EXPECT_THAT(names_shown({.order = TopOrder::restarts}),
              ElementsAre("parse", "  parse/1", "  parse/0", "read", "  read/0", "  read/1"));
  EXPECT_THAT(names_shown({.filter = "e/1"}), ElementsAre("parse", "  parse/1"));
  EXPECT_THAT(names_shown({.filter = "nothing"}), ElementsAre());
}

TEST(TopScreen, SaysWhatAWorkerDiedOfAndFitsItsTerminalOtherwise) {
  const detail::Rates rates{std::chrono::seconds{1}};
  for (const command::TopLine& line : top_screen({}, two_stages(), rates, {}, std::chrono::seconds{1}).rows) {
    if (line.text.find("parse/1") != std::string::npos) {
      EXPECT_THAT(line.text, HasSubstr("last death: crashed, signal 11"));
    } else {
      EXPECT_LE(line.text.size(), static_cast<std::size_t>(command::kTopLeastColumns)) << line.text;
    }
  }
}

class Top : public WithSocket {};

TEST_F(Top, OnceIsPlainTextAndTellsWhoDied) {
  const Watched run{settings()};
  ::kill(run.engine.stats().stages[0].workers[1].pid, SIGKILL);
  ASSERT_TRUE(eventually([&] { return run.engine.stats().stages[0].workers[1].restarts == 1; }));
  FILE* pipe = ::popen(("'" SLUICE_PROGRAM "' top '" + socket_ + "' --every 0.2 2>&1").c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string text;
  char piece[4096];
  for (std::size_t got = 0; (got = std::fread(piece, 1, sizeof(piece), pipe)) > 0;)
    text.append(piece, got);
  EXPECT_EQ(::pclose(pipe), 0);
  EXPECT_THAT(text, AllOf(StartsWith("counting: running for 0:"), HasSubstr("\nstage / worker"),
                          HasSubstr("\ncount "), HasSubstr("\n  count/0 "),
                          HasSubstr("last death: killed, signal 9"), Not(HasSubstr("\x1b"))));
}

// `sluice top` on a terminal of its own, of so many lines and columns.
class OnATerminal {
 public:
  OnATerminal(const std::string& socket, unsigned short lines, unsigned short columns) {
    const winsize size{lines, columns, 0, 0};
    pid_ = ::forkpty(&terminal_, nullptr, nullptr, &size);
    if (pid_ != 0) return;
    ::setenv("TERM", "xterm", 1);
    ::signal(SIGHUP, SIG_IGN);  // As behind nohup, where the end of the terminal must be seen.
    ::execl(SLUICE_PROGRAM, "sluice", "top", socket.c_str(), "--every", "0.2", nullptr);
    ::_exit(127);
  }
  ~OnATerminal() {
    if (!reaped_) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(terminal_);
  }
  OnATerminal(const OnATerminal&) = delete;
  OnATerminal& operator=(const OnATerminal&) = delete;

  // Until it has drawn that.
  bool shows(const std::string& text) {
    return eventually([&] { return drawn_.find(text) != std::string::npos || !take(); }) &&
           drawn_.find(text) != std::string::npos;
  }
  void resize(unsigned short lines, unsigned short columns) const {
    const winsize size{lines, columns, 0, 0};
    ::ioctl(terminal_, TIOCSWINSZ, &size);
  }
  // Its exit status.
  int after(char key) {
    EXPECT_EQ(::write(terminal_, &key, 1), 1);
    return end_status();
  }
  int after_its_terminal_is_gone() {
    ::close(std::exchange(terminal_, -1));
    return end_status();
  }

 private:
  int end_status() {
    int status = 0;
    EXPECT_TRUE(eventually([&] {
      take();
      reaped_ = ::waitpid(pid_, &status, WNOHANG) == pid_;
      return reaped_;
    }));
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  // What is there; false once it has let go of the terminal.
  bool take() {
    pollfd entry{terminal_, POLLIN, 0};
    char piece[4096];
    while (::poll(&entry, 1, 0) == 1) {
      const ssize_t got = ::read(terminal_, piece, sizeof(piece));
      if (got <= 0) return false;
      drawn_.append(piece, static_cast<std::size_t>(got));
    }
    return true;
  }

  int terminal_ = -1;
  pid_t pid_ = -1;
  bool reaped_ = false;
  std::string drawn_;
};

TEST_F(Top, DrawsOnATerminalAndEndsByItsKey) {
  const Watched run{settings()};
  OnATerminal top{socket_, 30, 100};
  EXPECT_TRUE(top.shows("count/0"));
  EXPECT_TRUE(top.shows("q quit"));
  EXPECT_EQ(top.after('q'), 0);
}

TEST_F(Top, EndsWithItsTerminal) {
  const Watched run{settings()};
  OnATerminal top{socket_, 30, 100};
  EXPECT_TRUE(top.shows("count/0"));
  EXPECT_NE(top.after_its_terminal_is_gone(), 0) << "nobody has asked it to end";
}

TEST_F(Top, SaysThatItsTerminalIsTooSmallUntilItIsNot) {
  const Watched run{settings()};
  OnATerminal top{socket_, 5, 40};
  EXPECT_TRUE(top.shows("too small"));
  top.resize(30, 100);
  EXPECT_TRUE(top.shows("count/0"));
  EXPECT_EQ(top.after('q'), 0);
}

}  // namespace
}  // namespace sluice::test
