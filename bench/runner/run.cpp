// SPDX-License-Identifier: Apache-2.0
// One suite after the other: start, watch, read.

#include "run.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <poll.h>
#include <unistd.h>

#include <fmt/format.h>

#include <sluice/detail/counted.hpp>
#include <sluice/error.hpp>

#include "suite_output.hpp"
#include "suite_program.hpp"

namespace sluice::bench {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

// What a suite program returns if there are not enough processing units for it (suite.hpp).
constexpr int kTooFewUnits = 77;
// From the request to end until there is no more asking.
constexpr std::chrono::seconds kGrace = 3s;

constexpr std::array kSuites = {
    Suite{"lane", 150s, 12s, "What does a lane cost above the least that a ring in shared memory can be?"},
    Suite{"user", 100s, 15s, "What does a program get that does what README says, beside plain threads?"},
    Suite{"hop", 120s, 12s, "What does exactness cost: commit, progress word and counters?"},
    Suite{"pipeline", 150s, 30s, "What do stages, routes and fan-out cost, and the market demonstration?"},
    Suite{"latency", 150s, 18s,
          "How long is an event under way, at a load that does not wait for the answers?"},
    Suite{"recovery", 400s, 35s, "How soon does a replacement work, and what do the others notice?"},
    Suite{"scale", 100s, 12s, "What do many lanes and many workers cost that have nothing to do?"},
    Suite{"placement", 120s, 35s, "What does a plan gain over workers that float, and over worse plans?"},
    Suite{"connect", 250s, 80s, "What do exactly-once sources and sinks cost beside plain programs?"},
    Suite{"peers", 200s, 18s, "How do a lane, and the whole engine, stand beside what others have built?"},
};

class ScratchDirectory {
 public:
  ScratchDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "sluice-bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw Error{{"make a directory", pattern, errno_text(), "set TMPDIR"}};
    path_ = pattern;
  }
  ~ScratchDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  ScratchDirectory(const ScratchDirectory&) = delete;
  ScratchDirectory& operator=(const ScratchDirectory&) = delete;

  std::string file(const char* name) const { return (path_ / name).string(); }

 private:
  std::filesystem::path path_;
};

std::string content_of(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

std::string seconds_text(Clock::duration time) {
  return fmt::format("{:.0f} s", std::chrono::duration<double>(time).count());
}

class SuiteRun {
 public:
  SuiteRun(const RunRequest& request, const Suite& suite, const Interruption& interruption,
           const Progress& progress)
      : request_{request}, suite_{suite}, interruption_{interruption}, progress_{progress} {}

  SuiteResult run();

 private:
  enum class End { by_itself, hung, interrupted };

  std::vector<std::string> arguments(const std::string& program) const;
  End watch(const SuiteProgram& program);
  void judge(const SuiteProgram& program, End end, bool whole);
  void say_remainder();

  const RunRequest& request_;
  const Suite& suite_;
  const Interruption& interruption_;
  const Progress& progress_;
  ScratchDirectory scratch_;
  Clock::time_point start_ = Clock::now();
  SuiteResult result_;
};

std::vector<std::string> SuiteRun::arguments(const std::string& program) const {
  std::vector<std::string> words = {program};
  if (request_.quick) words.emplace_back("--quick");
  if (request_.peers) words.emplace_back("--peers");
  words.emplace_back("--benchmark_report_aggregates_only=false");
  words.emplace_back("--benchmark_out_format=json");
  words.push_back("--benchmark_out=" + scratch_.file("out.json"));
  if (!request_.filter.empty()) words.push_back("--benchmark_filter=" + request_.filter);
  return words;
}

SuiteResult SuiteRun::run() {
  result_.name = suite_.name;
  const std::string program = fmt::format("{}/bench_{}", request_.directory, suite_.name);
  if (::access(program.c_str(), X_OK) != 0) {
    result_.outcome = Outcome::missing;
    result_.words =
        fmt::format("{}: {}; the build option SLUICE_BUILD_BENCH makes it", program, errno_text());
    progress_(Stage::ended, fmt::format("{}: missing: {}", suite_.name, result_.words));
    return std::move(result_);
  }
  say_remainder();
  End end = End::by_itself;
  try {
    SuiteProgram process{arguments(program), scratch_.file("words")};
    end = watch(process);
    process.finish();
    const std::string written = content_of(scratch_.file("out.json"));
    SuiteOutput output = read_suite_output(written);
    result_.benchmarks = std::move(output.benchmarks);
    judge(process, end, output.whole || written.empty());
  } catch (const Error& error) {
    result_.outcome = Outcome::failed;
    result_.words = error.what();
  }
  result_.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  progress_(Stage::ended, fmt::format("{}: {} after {}, {}", suite_.name, name_of(result_.outcome),
                                      seconds_text(Clock::now() - start_),
                                      detail::counted(result_.benchmarks.size(), "benchmark")));
  return std::move(result_);
}

void SuiteRun::say_remainder() {
  const std::chrono::seconds usual = request_.quick ? suite_.quick : suite_.full;
  progress_(Stage::running,
            fmt::format("{}: {} of about {}, at most {}", suite_.name, seconds_text(Clock::now() - start_),
                        seconds_text(usual), seconds_text(longest(request_, suite_))));
}

// Until the program has ended by itself, or was made to.
SuiteRun::End SuiteRun::watch(const SuiteProgram& program) {
  End end = End::by_itself;
  Clock::time_point deadline = start_ + longest(request_, suite_);
  while (true) {
    pollfd entries[] = {{program.pidfd(), POLLIN, 0}, {interruption_.fd(), POLLIN, 0}};
    ::poll(entries, std::size(entries), 1000);
    if ((entries[0].revents & POLLIN) != 0) return end;
    const int signal = interruption_.take();
    const bool late = Clock::now() > deadline;
    if (end != End::by_itself && late) return end;  // It was asked, and is killed now.
    if (signal != 0 || late) {
      if (signal != 0) end = End::interrupted;
      if (end == End::by_itself) end = End::hung;
      program.send(signal != 0 ? signal : SIGTERM);
      deadline = Clock::now() + kGrace;
    }
    say_remainder();
  }
}

void SuiteRun::judge(const SuiteProgram& program, End end, bool whole) {
  const std::string said = own_words(content_of(scratch_.file("words")));
  result_.words = said;
  const auto explain = [&](Outcome outcome, const std::string& why) {
    result_.outcome = outcome;
    result_.words = why + (said.empty() ? "" : "; it said: " + said);
  };
  if (end == End::interrupted) return explain(Outcome::interrupted, "interrupted");
  if (end == End::hung) {
    return explain(Outcome::timed_out, fmt::format("it had not ended after {} and was killed",
                                                   seconds_text(longest(request_, suite_))));
  }
  if (program.exit_status() == kTooFewUnits) {
    result_.outcome = Outcome::skipped;
    return;
  }
  if (!program.completed()) return explain(Outcome::failed, "it " + program.end_in_words());
  if (!whole) return explain(Outcome::failed, "what it wrote is cut off");
  result_.outcome = Outcome::completed;
  if (!result_.benchmarks.empty()) return;
  // A filter may well leave nothing of a suite.
  explain(request_.filter.empty() ? Outcome::failed : Outcome::completed, "it measured nothing");
}

}  // namespace

std::span<const Suite> all_suites() noexcept {
  return kSuites;
}

std::chrono::seconds longest(const RunRequest& request, const Suite& suite) noexcept {
  return 2 * (request.quick ? suite.quick : suite.full) + request.allowance;
}

std::vector<SuiteResult> run_suites(const RunRequest& request, const Progress& progress) {
  const Interruption interruption;
  std::vector<SuiteResult> results;
  bool interrupted = false;
  for (const Suite& suite : request.suites) {
    interrupted = interrupted || interruption.take() != 0;
    if (interrupted) {
      results.push_back({std::string{suite.name}, Outcome::not_run, "the run was interrupted before", 0, {}});
      continue;
    }
    results.push_back(SuiteRun{request, suite, interruption, progress}.run());
    interrupted = results.back().outcome == Outcome::interrupted;
  }
  note_odd_rounds(results);
  return results;
}

}  // namespace sluice::bench
