// SPDX-License-Identifier: Apache-2.0
// `sluice top`: a running pipeline, live. An observer like `sluice stats`: it only reads.

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <unistd.h>
#include <vector>

#include <fmt/format.h>

#include <sluice/detail/clock.hpp>
#include <sluice/observer.hpp>
#include <sluice/printable.hpp>

#include "commands.hpp"
#include "fold.hpp"
#include "observer/rates.hpp"
#include "presence.hpp"
#include "report_tail.hpp"
#include "top/screen.hpp"
#include "top/terminal.hpp"

namespace sluice::command {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kTopLook{50};  // Rates are right by looks that are many in a window.

struct TopSaid {
  std::string pipeline;
  double every = 1;  // Seconds.
  bool once = false;
};

std::string_view environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

bool draws() {
  const std::string_view terminal = environment("TERM");
  return ::isatty(STDOUT_FILENO) == 1 && ::isatty(STDIN_FILENO) == 1 && !terminal.empty() &&
         terminal != "dumb";
}

// Which one, if none is named.
std::string only_one() {
  const std::vector<RunningPipeline> running = Observer::running();
  if (running.empty()) throw std::runtime_error{"no pipeline of this user is running"};
  if (running.size() == 1) return running.front().socket;
  std::string names;
  for (const RunningPipeline& each : running)
    names.append(names.empty() ? "" : ", ").append(printable(each.name));
  throw std::runtime_error{"several pipelines run: say which of " + names};
}

// Of each stage its latency.sample.
std::vector<std::string> samples_of(const std::vector<SettingValue>& settings, const Stats& stats) {
  constexpr std::string_view kSample = "latency.sample";
  const auto value_of = [&](std::string_view key, const std::string& otherwise) {
    const auto known = std::ranges::find(settings, key, &SettingValue::key);
    return known == settings.end() ? otherwise : known->value;
  };
  std::vector<std::string> samples;
  for (const StageStats& stage : stats.stages)
    samples.push_back(value_of(fmt::format("stage.{}.{}", stage.name, kSample), value_of(kSample, "off")));
  return samples;
}

// What has been seen so far, for one screen after the other.
class Seen {
 public:
  Seen(const std::string& pipeline, nanoseconds window)
      : observer_{Observer::attach(pipeline)},
        processes_{pipeline},
        window_{window},
        rates_{window},
        reports_{observer_.stats().reports} {
    look();
    samples_ = samples_of(observer_.settings(), stats_);
  }

  // Of latencies it sees nothing.
  void look() {
    now_ = detail::monotonic_now();
    stats_ = observer_.counts();
    rates_.look(stats_, now_);
    happenings_.look(stats_, now_, std::chrono::system_clock::now());
    happenings_.add(reports_.lines());
    if (now_ - since_at_ < window_) return;
    before_ = std::move(since_);
    since_ = stats_;
    since_at_ = now_;
  }
  bool over() const { return observer_.over(); }
  // Killed, all of them.
  bool gone() { return processes_.gone() && !over(); }
  TopScreen screen(const TopView& view) const {
    const Stats stats = observer_.stats();
    return top_screen({before_, stats, rates_, happenings_, samples_, now_, stopped_master_text(stats)},
                      view);
  }

 private:
  Observer observer_;
  Presence processes_;
  nanoseconds window_;
  detail::Rates rates_;
  ReportTail reports_;
  Happenings happenings_;
  std::vector<std::string> samples_;
  nanoseconds now_{0};
  Stats stats_;
  // The bottleneck is judged against what was there one to two windows ago.
  Stats before_;
  Stats since_;
  nanoseconds since_at_{0};
};

std::string plain_text(const TopScreen& screen, std::size_t columns) {
  constexpr std::size_t kMostEvents = 20;
  std::string text;
  for (const auto* lines : {&screen.head, &screen.rows, &screen.events}) {
    const std::size_t most = lines == &screen.events ? kMostEvents + 1 : lines->size();
    const std::vector<TopLine> shown{
        lines->begin(), lines->begin() + static_cast<std::ptrdiff_t>(std::min(most, lines->size()))};
    for (const TopLine& line : folded(shown, columns))
      text.append(line.text).append("\n");
  }
  return text;
}

void show_once(Seen& seen, nanoseconds window) {
  const nanoseconds until = detail::monotonic_now() + window;
  while (detail::monotonic_now() < until && !seen.over() && !seen.gone()) {
    std::this_thread::sleep_for(kTopLook);
    seen.look();
  }
  const std::size_t columns = columns_of_output();
  print(plain_text(seen.screen({.columns = columns}), columns));
  if (seen.gone()) throw std::runtime_error{Presence::kGone};
}

// What the keys have done to the screen.
class Keys {
 public:
  // False once it is to end.
  bool take(int key, int page) {
    if (typing_) {
      type(key);
      return true;
    }
    switch (key) {
      case 'q':
        return false;
      case 's':
        view_.order = next(view_.order);
        break;
      case 'w':
        view_.workers = !view_.workers;
        break;
      case 'l':
        view_.latency = !view_.latency;
        break;
      case 'e':
        view_.events = !view_.events;
        break;
      case '/':
        typing_ = true;
        break;
      default:
        scroll(key, page);
    }
    return true;
  }
  const TopView& view() const { return view_; }
  // What stands on a terminal of so many lines.
  std::vector<TopLine> lay_out(const TopScreen& screen, std::size_t lines) {
    return laid_out(screen, lines, first_);
  }
  std::string help(bool narrow) const {
    if (typing_) return "only names with: " + printable(view_.filter) + "_  (Enter: done, Esc: all)";
    if (narrow) return "q quit s sort w l e / filter";
    return fmt::format("q quit  s sort: {}  w workers  l latency  e events  / filter  arrows",
                       name_of(view_.order));
  }

 private:
  void type(int key) {
    constexpr int kEscape = 27;
    constexpr std::size_t kLongest = 40;
    if (key == kEscape) view_.filter.clear();
    if (key == kEscape || key == '\n' || key == '\r') typing_ = false;
    if (key == Terminal::kErase && !view_.filter.empty()) view_.filter.pop_back();
    if (key > ' ' && key < 0x7f && view_.filter.size() < kLongest)
      view_.filter.push_back(static_cast<char>(key));
  }
  void scroll(int key, int page) {
    const auto step = static_cast<std::size_t>(
        key == Terminal::kPageUp || key == Terminal::kPageDown ? std::max(page, 1) : 1);
    if (key == Terminal::kUp || key == Terminal::kPageUp) first_ -= std::min(first_, step);
    if (key == Terminal::kDown || key == Terminal::kPageDown) first_ += step;
  }

  TopView view_;
  bool typing_ = false;
  std::size_t first_ = 0;
};

void draw(Terminal& terminal, const Seen& seen, Keys& keys) {
  const bool narrow = terminal.columns() < kTopWholeColumns;
  const int least_lines = narrow ? kTopNarrowLines : kTopWholeLines;
  const auto columns = static_cast<std::size_t>(terminal.columns());
  if (terminal.columns() < kTopLeastColumns || terminal.lines() < least_lines) {
    terminal.draw({{"The terminal is"},
                   {fmt::format("too small: {}x{};", terminal.columns(), terminal.lines())},
                   {fmt::format("needed: {}x{}", kTopLeastColumns, least_lines)}},
                  "q quit");
    return;
  }
  TopView view = keys.view();
  view.columns = columns;
  view.narrow = narrow;
  const TopScreen screen = seen.screen(view);
  terminal.draw(keys.lay_out(narrow ? folded_screen(screen, columns) : screen,
                             static_cast<std::size_t>(terminal.lines()) - 1),
                keys.help(narrow));
}

// Until the pipeline is over or the user quits; then the last screen stays on the terminal as text.
void show_live(Seen& seen, nanoseconds window) {
  Keys keys;
  {
    Terminal terminal{environment("NO_COLOR").empty()};
    bool goes_on = true;
    nanoseconds due{0};
    while (goes_on && Terminal::signal_that_came() == 0 && !seen.over() && !seen.gone()) {
      const nanoseconds now = detail::monotonic_now();
      if (now >= due) {
        draw(terminal, seen, keys);
        due = now + window;
      }
      const int key = terminal.get(kTopLook);
      seen.look();
      if (key == Terminal::kNothing) continue;
      goes_on = keys.take(key, terminal.lines() / 2);
      due = nanoseconds{0};
    }
  }
  seen.look();
  TopView view = keys.view();
  view.columns = columns_of_output();
  print(plain_text(seen.screen(view), view.columns));
  if (seen.gone()) throw std::runtime_error{Presence::kGone};
  if (const int signal = Terminal::signal_that_came(); signal != 0) {
    std::fflush(stdout);
    std::signal(signal, SIG_DFL);
    ::raise(signal);
  }
}

void show(const TopSaid& said) {
  const auto window = std::chrono::duration_cast<nanoseconds>(std::chrono::duration<double>(said.every));
  Seen seen{said.pipeline.empty() ? only_one() : said.pipeline, window};
  if (said.once || !draws()) return show_once(seen, window);
  show_live(seen, window);
}

}  // namespace

void add_top(CLI::App& program) {
  CLI::App* top = program.add_subcommand("top", "A running pipeline, live: stages, workers, deaths");
  const auto said = std::make_shared<TopSaid>();
  top->add_option("pipeline", said->pipeline, "Its name, or the path of its socket (observe.socket)")
      ->type_name("NAME|SOCKET")
      ->check(not_empty());
  top->add_option("--every", said->every, "Between two screens; rates are over that time")
      ->type_name("SECONDS")
      ->check(number_between(0.1, 60))
      ->capture_default_str();
  top->add_flag("--once", said->once, "One screen as text, as a pipe or TERM=dumb gets it");
  end_help(*top,
           "Without a name: the pipeline that runs. It only looks. NO_COLOR is heeded.\n"
           "Keys: q quit, s sort, w workers or stages alone, l latencies, e events,\n"
           "/ filter, arrows and page keys.",
           {"sluice top market", "sluice top market --every 0.5", "sluice top market --once | grep absent"});
  top->callback([said] { show(*said); });
}

}  // namespace sluice::command
