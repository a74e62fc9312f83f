// SPDX-License-Identifier: Apache-2.0
// `sluice top`, the program: on terminals of any size, and as text.
#include <cstdio>
#include <cstdlib>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <utility>

#include "watched.hpp"

namespace sluice::test {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;

class Top : public WithSocket {};

std::string content_of(const std::string& path) {
  std::ifstream file{path};
  return {std::istreambuf_iterator<char>{file}, {}};
}

TEST_F(Top, OnceIsPlainTextAndTellsWhoDied) {
  const Watched run{settings()};
  kill_worker_of(run.engine, "count/1");
  // The next life says when the last one ended.
  ASSERT_TRUE(eventually([&] {
    const WorkerStats worker = worker_of(run.engine, "count/1");
    return worker.restarts == 1 && worker.lives.back().incarnation == 2;
  }));
  FILE* pipe = ::popen(("'" SLUICE_PROGRAM "' top '" + socket_ + "' --every 0.2 2>&1").c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  std::string text;
  char piece[4096];
  for (std::size_t got = 0; (got = std::fread(piece, 1, sizeof(piece), pipe)) > 0;)
    text.append(piece, got);
  EXPECT_EQ(::pclose(pipe), 0);
  EXPECT_THAT(text, AllOf(StartsWith("counting: running for 0:"), HasSubstr("\nstage / worker"),
                          HasSubstr("\ncount "), HasSubstr("\n  count/0 "),
                          ContainsRegex("last death [0-9]+ s ago: [^\n]*signal 9 .Killed."),
                          HasSubstr("\nlatency: - (latency.sample is off"),
                          ContainsRegex("\nwhat happened .UTC.\n..:..:...... count/1 died: [^\n]*signal 9"),
                          Not(HasSubstr("\x1b"))));
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
  // Its exit status, with 128 and the signal that it died of as a shell has it.
  int after(char key) {
    EXPECT_EQ(::write(terminal_, &key, 1), 1);
    return end_status();
  }
  int after_signal(int signal) {
    ::kill(pid_, signal);
    return end_status();
  }
  int after_its_terminal_is_gone() {
    ::close(std::exchange(terminal_, -1));
    return end_status();
  }

  int end_status() {
    int status = 0;
    EXPECT_TRUE(eventually([&] {
      take();
      reaped_ = ::waitpid(pid_, &status, WNOHANG) == pid_;
      return reaped_;
    }));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
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

// Neither is a failure of what it looked at, or of the terminal: ncurses would say so.
TEST_F(Top, EndsBySignalsAsOtherProgramsDo) {
  const Watched run{settings()};
  constexpr char kControlC = 3;
  OnATerminal interrupted{socket_, 30, 100};
  EXPECT_TRUE(interrupted.shows("q quit"));
  EXPECT_EQ(interrupted.after(kControlC), 128 + SIGINT);
  OnATerminal ended{socket_, 30, 100};
  EXPECT_TRUE(ended.shows("q quit"));
  EXPECT_EQ(ended.after_signal(SIGTERM), 128 + SIGTERM);
}

// Nobody is left to write that it has ended: it was "running", with rates of 0, for ever.
TEST_F(Top, EndsAsStatsDoesOnceAllProcessesWereKilled) {
  Engine killed{counting_pipeline(1), settings()};
  killed.start();
  OnATerminal top{socket_, 30, 100};
  EXPECT_TRUE(top.shows("count/0"));
  const std::string said = (directory_ / "said").string();
  const std::string watch = "'" SLUICE_PROGRAM "' stats '" + socket_ + "' --watch 0.2 > '" + said + "' 2>&1";
  FILE* stats = ::popen(watch.c_str(), "r");
  ASSERT_NE(stats, nullptr);
  EXPECT_TRUE(eventually([&] { return content_of(said).find("count") != std::string::npos; }));
  kill_control_plane_of(killed);
  EXPECT_EQ(top.end_status(), 1);
  EXPECT_TRUE(top.shows("its processes are gone before it came to an end"));
  EXPECT_EQ(WEXITSTATUS(::pclose(stats)), 1);
  EXPECT_THAT(content_of(said), HasSubstr("its processes are gone before it came to an end"));
  EXPECT_THROW(killed.wait(), Error);
}

TEST_F(Top, ShowsADeathAsItHappensOnTerminalsOfAnySize) {
  Settings timed = settings();
  timed.set("latency.sample", "100");
  const Watched run{timed};
  OnATerminal usual{socket_, 24, 80};
  OnATerminal large{socket_, 40, 120};
  for (OnATerminal* top : {&usual, &large})
    EXPECT_TRUE(top->shows("in the handler"));
  kill_worker_of(run.engine, "count/1");
  for (OnATerminal* top : {&usual, &large}) {
    EXPECT_TRUE(top->shows("last death"));
    EXPECT_TRUE(top->shows("count/1 died: "));
    EXPECT_EQ(top->after('q'), 0);
  }
}

TEST_F(Top, DrawsANarrowTableOn40Columns) {
  const Watched run{settings()};
  OnATerminal top{socket_, 24, 40};
  EXPECT_TRUE(top.shows("stage/worker  state           rate busy"));
  EXPECT_TRUE(top.shows("count/0"));
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
  OnATerminal top{socket_, 5, 20};
  EXPECT_TRUE(top.shows("too small: 20x5;"));
  EXPECT_TRUE(top.shows("needed: 40x16"));
  top.resize(30, 100);
  EXPECT_TRUE(top.shows("count/0"));
  EXPECT_EQ(top.after('q'), 0);
}

}  // namespace
}  // namespace sluice::test
