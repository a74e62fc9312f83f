// SPDX-License-Identifier: Apache-2.0
// What suite programs measured, as values: rounds, figures, and their medians with spread. Pure functions.
//
// A benchmark's name is GROUP/SUBJECT/PARAMETERS; what has the same group and parameters is compared
// (bench/suite.hpp). A figure is a number of one round: time_ns, items_per_second or a counter that carries
// its unit in its name (p50_ns, cpu_s, overhead_bytes, cpu_percent).
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace sluice::bench {

enum class Kind { ours, limit, baseline, peer };

struct Name {
  std::string group;
  Kind kind = Kind::ours;
  std::string subject;     // Without "limit:", "baseline:", "peer:".
  std::string parameters;  // May be empty.

  std::string text() const;          // As the suite gave it.
  std::string subject_text() const;  // "peer:zeromq".
  friend bool operator==(const Name&, const Name&) = default;
};

// Without what Google Benchmark appends: "/real_time", "/iterations:100" and the like.
Name parse_name(std::string_view text);

struct Round {
  std::uint64_t iterations = 0;
  std::map<std::string, double> figures;
  std::string fault;  // In the suite's words, if it could not be measured.
  bool odd = false;   // The units lay nearer or farther than mostly: see note_odd_rounds().
};

struct Benchmark {
  Name name;
  std::string label;  // What the suite says beside it.
  std::vector<Round> rounds;

  // Of the first round that has one, else empty.
  std::string fault() const;
};

enum class Outcome { completed, failed, skipped, missing, timed_out, interrupted, not_run };

std::string_view name_of(Outcome outcome) noexcept;
std::optional<Outcome> outcome_of(std::string_view name) noexcept;

struct SuiteResult {
  std::string name;
  Outcome outcome = Outcome::not_run;
  std::string words;  // What it, or the kernel, said about that.
  double seconds = 0;
  std::vector<Benchmark> benchmarks;
};

// A virtual machine's units may be moved to cores that share no cache, for seconds or minutes: a line then
// takes several times as long from one to the other, and nothing that two of them do can be compared with
// what they did before. Marks the rounds in which a line took kOdd times as long as in the median round of this run, or as
// much less: what is compared shall be of one distance, and that is the one that most rounds had.
inline constexpr double kOdd = 2;
void note_odd_rounds(std::vector<SuiteResult>& suites);

// How long a line took there and back in the median round; none if no round tells.
std::optional<double> usual_line_trip_ns(const std::vector<SuiteResult>& suites);

// A median is of all rounds but the odd ones, or of all if each was odd; its spread is the least and the most
// of them.
struct Spread {
  double median = 0;
  double least = 0;
  double most = 0;
  std::size_t rounds = 0;
};

// Of the rounds that have the figure; nothing if none has.
std::optional<Spread> spread_of(const Benchmark& benchmark, std::string_view figure);

// Every figure that some round has and that says something about the subject, not about the machine.
std::vector<std::string> figures_of(const Benchmark& benchmark);

// The figure that counts: p50_ns, else items_per_second, else a size or a load, else the time.
std::string main_figure(const Benchmark& benchmark);

// What is worth comparing: the figure that counts, then counters; no second form of the same time.
std::vector<std::string> telling_figures(const Benchmark& benchmark);

bool more_is_better(std::string_view figure) noexcept;

// A round is disturbed if other programs and other guests of the hypervisor together took more than this of
// all processing units, or if it is odd.
inline constexpr double kDisturbedPercent = 5;
bool disturbed(const Round& round);
std::size_t disturbed_rounds(const Benchmark& benchmark);

}  // namespace sluice::bench
