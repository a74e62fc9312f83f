// SPDX-License-Identifier: Apache-2.0
#include "chaos_runs.hpp"

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <utility>

#include <fmt/format.h>

#include <sluice/error.hpp>
#include <sluice/printable.hpp>
#include <sluice/units.hpp>

#include "child_program.hpp"

namespace sluice::command {
namespace {

using std::chrono::nanoseconds;
using namespace std::chrono_literals;

constexpr int kFailed = 1;

// A program that was asked to end, and then the processes that it left, have this long.
constexpr nanoseconds kGrace = 10s;
constexpr nanoseconds kLeaveTime = 5s;

nanoseconds now() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

double seconds_of(nanoseconds time) {
  return std::chrono::duration<double>(time).count();
}

// Not by fmt::print, which would throw at a closed stderr in the midst of a run.
void say(const std::string& text) {
  std::fputs(fmt::format("chaos: {}\n", text).c_str(), stderr);
}

std::string shell_word(const std::string& word) {
  const auto is_plain = [](unsigned char character) {
    return std::isalnum(character) != 0 ||
           std::string_view{"_@%+=:,./-"}.find(static_cast<char>(character)) != std::string_view::npos;
  };
  if (!word.empty() && std::all_of(word.begin(), word.end(), is_plain)) return word;
  std::string quoted = "'";
  for (const char character : word)
    quoted += character == '\'' ? std::string{"'\\''"} : std::string(1, character);
  return quoted + "'";
}

std::string command_line(const ChaosPlan& plan) {
  std::string text = "sluice chaos --for " + format_duration(plan.lasting);
  for (const Harm harm : kHarms)
    text += fmt::format(" --{} {}", name_of(harm), format_rate(plan.chaos.rate(harm)));
  text += fmt::format(" --seed {}{} --", plan.chaos.seed, plan.endless ? " --endless" : "");
  for (const std::string& word : plan.program)
    text.append(" ").append(shell_word(word));
  return text;
}

std::string join(const std::vector<std::string>& words) {
  constexpr std::size_t kMost = 20;
  std::string text;
  for (std::size_t i = 0; i < std::min(words.size(), kMost); ++i)
    text.append(i == 0 ? "" : ", ").append(words[i]);
  return words.size() > kMost ? text + ", ..." : text;
}

// The signals that end a program, as a descriptor to wait on.
class EndSignals {
 public:
  EndSignals() {
    sigset_t signals;
    sigemptyset(&signals);
    for (const int signal : {SIGINT, SIGTERM, SIGHUP})
      sigaddset(&signals, signal);
    ::sigprocmask(SIG_BLOCK, &signals, nullptr);
    fd_ = ::signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd_ < 0) throw Error{{"wait for", "signals", errno_text(), ""}};
  }
  ~EndSignals() { ::close(fd_); }
  EndSignals(const EndSignals&) = delete;
  EndSignals& operator=(const EndSignals&) = delete;

  int fd() const noexcept { return fd_; }
  bool take(signalfd_siginfo& info) const noexcept {
    return ::read(fd_, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info));
  }

 private:
  int fd_;
};

class Runs {
 public:
  explicit Runs(const ChaosPlan& plan)
      : plan_{plan}, chaos_{plan.chaos}, start_{now()}, end_{start_ + plan.lasting} {}

  int run_all() {
    say(fmt::format("{} for {}, {}", printable(plan_.program.front()), format_duration(plan_.lasting),
                    to_text(plan_.chaos)));
    int status = 0;
    do {
      status = run_once();
    } while (status == 0 && !failed_ && !interrupted_ && now() < end_);
    summarise(status);
    return status == 0 && failed_ ? kFailed : status;
  }

 private:
  enum class Phase { hurt, left_alone, asked_to_end };

  int run_once();
  bool ended_meanwhile(const ChildProgram& program);
  void look_at_signals(const ChildProgram& program);
  void leave_alone(const ChildProgram& program);
  void press(const ChildProgram& program);
  void divert_the_rest();
  void tell_what_was_done() const;
  void summarise(int status) const;

  const ChaosPlan& plan_;
  EndSignals signals_;
  Chaos chaos_;
  nanoseconds start_;
  nanoseconds end_;  // Of the hurting.
  unsigned runs_ = 0;
  Phase phase_ = Phase::hurt;
  nanoseconds run_start_{0};
  nanoseconds deadline_{0};  // Of a phase that is not hurt.
  bool interrupted_ = false;
  bool failed_ = false;  // Otherwise than by the status of the program.
};

int Runs::run_once() {
  ++runs_;
  phase_ = Phase::hurt;
  run_start_ = now();
  ChildProgram program{plan_.program};
  while (!ended_meanwhile(program)) {
    look_at_signals(program);
    if (phase_ == Phase::hurt && now() < end_) chaos_.tick();
    if (phase_ == Phase::hurt && now() >= end_) leave_alone(program);
    if (phase_ != Phase::hurt && now() >= deadline_) press(program);
  }
  int status = program.status();
  // It was asked to end so: a source that had an end of its own was interrupted before it.
  constexpr int kInterrupted = 128 + SIGINT;
  if (plan_.endless && phase_ == Phase::left_alone && status == kInterrupted) status = 0;
  chaos_.continue_all();
  divert_the_rest();
  if ((status != 0 && !interrupted_) || failed_) {
    say(fmt::format("run {} {}, {:.3f} s after its start; seed {}", runs_, program.end_in_words(),
                    seconds_of(now() - run_start_), plan_.chaos.seed));
    tell_what_was_done();
  }
  return status;
}

// Waits until something is to be done, and tells whether that is the program's end.
bool Runs::ended_meanwhile(const ChildProgram& program) {
  nanoseconds limit = deadline_ - now();
  if (phase_ == Phase::hurt) limit = std::min(end_ - now(), chaos_.time_to_next());
  limit = std::clamp<nanoseconds>(limit, 0s, 1h);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(limit);
  const timespec timeout{seconds.count(), (limit - seconds).count()};
  pollfd entries[] = {{program.pidfd(), POLLIN, 0}, {signals_.fd(), POLLIN, 0}};
  ::ppoll(entries, std::size(entries), &timeout, nullptr);
  return (entries[0].revents & POLLIN) != 0;
}

void Runs::look_at_signals(const ChildProgram& program) {
  signalfd_siginfo info{};
  while (signals_.take(info)) {
    // What comes from the terminal has gone to its whole foreground group, and so to the program as well.
    if (info.ssi_code != SI_KERNEL) program.send(static_cast<int>(info.ssi_signo));
    if (interrupted_) continue;
    say("interrupted; the program is left to end");
    interrupted_ = true;
    phase_ = Phase::asked_to_end;
    deadline_ = now() + kGrace;
    chaos_.continue_all();
  }
}

void Runs::leave_alone(const ChildProgram& program) {
  chaos_.continue_all();
  phase_ = Phase::left_alone;
  deadline_ = now() + plan_.patience;
  if (plan_.endless) program.send(SIGINT);
  say(fmt::format("the time is over; run {} has {} to end {}", runs_, format_duration(plan_.patience),
                  plan_.endless ? "after an interrupt" : "by itself"));
}

// The deadline of the phase has passed.
void Runs::press(const ChildProgram& program) {
  deadline_ = now() + kGrace;
  if (phase_ == Phase::asked_to_end) {
    say("it does not end, and is killed: " + join(signal_descendants(SIGKILL)));
    failed_ = true;
    return;
  }
  failed_ = true;
  phase_ = Phase::asked_to_end;
  say(fmt::format(
      "run {} has not ended {} after it was last hurt, and is taken for hung (--patience, --endless): {}",
      runs_, format_duration(plan_.patience), join(signal_descendants(0))));
  program.send(SIGTERM);
}

// Orphans are this process's children now.
void Runs::divert_the_rest() {
  const auto nobody_is_left = [] {
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    return signal_descendants(0).empty();
  };
  if (interrupted_) signal_descendants(SIGTERM);
  const nanoseconds deadline = now() + kLeaveTime;
  while (!nobody_is_left()) {
    if (now() > deadline + kGrace)
      throw Error{{"end", join(signal_descendants(0)), "SIGKILL does not reach them", ""}};
    if (now() > deadline) {
      const std::vector<std::string> left = signal_descendants(SIGKILL);
      if (!failed_) say(fmt::format("run {} left processes behind: {}; they are killed", runs_, join(left)));
      failed_ = true;
    }
    std::this_thread::sleep_for(2ms);
  }
}

void Runs::tell_what_was_done() const {
  constexpr std::size_t kMost = 30;
  std::vector<std::string> lines;
  for (const Injury& injury : chaos_.last()) {
    if (injury.at < run_start_) continue;
    std::string line = fmt::format("  {:8.3f} s  {} {} {} (pid {})", seconds_of(injury.at - run_start_),
                                   name_of(injury.harm), injury.kind, injury.name, injury.pid);
    if (injury.harm == Harm::stop) line += fmt::format(", for {:.0f} ms", seconds_of(injury.pause) * 1000);
    lines.push_back(std::move(line));
  }
  say(fmt::format("what was done to it: {}{}", lines.empty() ? "nothing" : "",
                  lines.size() > kMost ? fmt::format("the last {} of {}", kMost, lines.size()) : ""));
  for (std::size_t i = lines.size() - std::min(kMost, lines.size()); i < lines.size(); ++i)
    std::fputs(fmt::format("{}\n", lines[i]).c_str(), stderr);
}

void Runs::summarise(int status) const {
  const bool well = status == 0 && !failed_;
  say(fmt::format("{} run{} in {:.1f} s, {}", runs_, runs_ == 1 ? "" : "s", seconds_of(now() - start_),
                  well           ? "every one ended with status 0 and left no process behind"
                  : interrupted_ ? "the last one interrupted"
                                 : "the last one failed"));
  say(chaos_.summary());
  if (chaos_.last().empty()) say("no process was hurt: none of a pipeline was seen when a hit was due");
  say("again: " + command_line(plan_));
}

}  // namespace

int run_chaos(const ChaosPlan& plan) {
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) throw Error{{"adopt", "orphans", errno_text(), ""}};
  std::signal(SIGPIPE, SIG_IGN);  // A closed stderr must not end us while a process is stopped.
  return Runs{plan}.run_all();
}

}  // namespace sluice::command
