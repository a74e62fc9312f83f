// SPDX-License-Identifier: Apache-2.0
// The eight targets: which benchmarks they look at, and where the line is.

#include "targets.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <span>

#include <fmt/format.h>

#include "figure_text.hpp"

namespace sluice::bench {
namespace {

enum class Bound { at_least, at_most };

// One figure of one benchmark, or why there is none.
struct Found {
  std::optional<double> value;
  std::string subject;  // Whose it is: "peer:zeromq".
  std::string why;
  bool disturbed = false;
};

class Judge {
 public:
  explicit Judge(const Report& report) : report_{report} {}

  std::vector<TargetRow> take() { return std::move(rows_); }

  Found find(const std::string& suite, const std::string& name, const std::string& figure) const;
  // The best of several benchmarks, or of all peers of a group and parameters.
  Found best(const std::string& suite, std::span<const std::string> names, const std::string& figure) const;
  Found best_peer(const std::string& suite, const std::string& group, std::span<const std::string> parameters,
                  const std::string& figure) const;

  void ratio(int number, const std::string& what, const std::string& figure, const Found& ours,
             const Found& theirs, Bound bound, double line, const std::string& of);
  void difference_ns(int number, const std::string& what, const Found& ours, const Found& theirs,
                     double most_ns, const std::string& over);
  void value(int number, const std::string& what, const std::string& figure, const Found& ours, double most);

 private:
  std::string why_not(const std::string& suite) const;
  TargetRow& row(int number, const std::string& what, std::initializer_list<const Found*> needed);

  const Report& report_;
  std::vector<TargetRow> rows_;
};

// Why a suite has no such benchmark.
std::string Judge::why_not(const std::string& suite) const {
  const auto found = std::ranges::find(report_.suites, suite, &SuiteResult::name);
  if (found == report_.suites.end())
    return suite == "peers" ? "suite peers was not run: --peers" : fmt::format("suite {} was not run", suite);
  if (found->outcome == Outcome::completed) return {};
  return fmt::format("suite {} {}: {}", suite,
                     found->outcome == Outcome::missing ? "is missing" : name_of(found->outcome),
                     found->words.substr(0, found->words.find('\n')));
}

Found Judge::find(const std::string& suite, const std::string& name, const std::string& figure) const {
  for (const SuiteResult& each : report_.suites) {
    if (each.name != suite) continue;
    for (const Benchmark& benchmark : each.benchmarks) {
      if (benchmark.name.text() != name) continue;
      const std::optional<Spread> spread = spread_of(benchmark, figure);
      const bool disturbed = 2 * disturbed_rounds(benchmark) > benchmark.rounds.size();
      if (spread) return {spread->median, benchmark.name.subject_text(), {}, disturbed};
      const std::string fault = benchmark.fault();
      return {{}, {}, fmt::format("{}: {}", name, fault.empty() ? "no " + figure : fault), disturbed};
    }
  }
  const std::string why = why_not(suite);
  return {{}, {}, why.empty() ? fmt::format("suite {} has no {}", suite, name) : why, false};
}

Found Judge::best(const std::string& suite, std::span<const std::string> names,
                  const std::string& figure) const {
  Found best;
  for (const std::string& name : names) {
    Found found = find(suite, name, figure);
    if (!found.value) {
      if (!best.value && best.why.empty()) best.why = found.why;
      continue;
    }
    const bool better = best.value && more_is_better(figure) == (*found.value > *best.value);
    if (!best.value || better) best = found;
  }
  return best;
}

Found Judge::best_peer(const std::string& suite, const std::string& group,
                       std::span<const std::string> parameters, const std::string& figure) const {
  std::vector<std::string> names;
  for (const SuiteResult& each : report_.suites) {
    if (each.name != suite) continue;
    for (const Benchmark& benchmark : each.benchmarks) {
      const Name& name = benchmark.name;
      const bool asked = std::ranges::find(parameters, name.parameters) != parameters.end();
      if (name.group == group && name.kind == Kind::peer && asked) names.push_back(name.text());
    }
  }
  Found found = best(suite, names, figure);
  if (!found.value && found.why.empty()) found.why = why_not(suite);
  if (!found.value && found.why.empty())
    found.why = "no peer is installed that does this (tools/bench-setup)";
  return found;
}

TargetRow& Judge::row(int number, const std::string& what, std::initializer_list<const Found*> needed) {
  TargetRow& row = rows_.emplace_back();
  row.number = number;
  row.what = what;
  for (const Found* found : needed) {
    if (!found->value && row.why.empty()) row.why = found->why;
    row.disturbed |= found->disturbed;
  }
  return row;
}

Verdict verdict_of(double value, Bound bound, double line) noexcept {
  return (bound == Bound::at_least ? value >= line : value <= line) ? Verdict::holds : Verdict::falls_short;
}

std::string line_text(Bound bound, const std::string& line) {
  return fmt::format("{} {}", bound == Bound::at_least ? "at least" : "at most", line);
}

void Judge::ratio(int number, const std::string& what, const std::string& figure, const Found& ours,
                  const Found& theirs, Bound bound, double line, const std::string& of) {
  TargetRow& row = this->row(number, what, {&ours, &theirs});
  row.target = fmt::format("{} of {}", line_text(bound, ratio_text(line)), of);
  if (!row.why.empty()) return;
  if (*theirs.value == 0) {
    row.why = theirs.subject + " measured 0";
    return;
  }
  const double measured = *ours.value / *theirs.value;
  row.measured = fmt::format("{}: {}, {} {}", ratio_text(measured), figure_text(figure, *ours.value),
                             theirs.subject, figure_text(figure, *theirs.value));
  row.verdict = verdict_of(measured, bound, line);
}

void Judge::difference_ns(int number, const std::string& what, const Found& ours, const Found& theirs,
                          double most_ns, const std::string& over) {
  TargetRow& row = this->row(number, what, {&ours, &theirs});
  row.target = fmt::format("at most {} over {}", figure_text("_ns", most_ns), over);
  if (!row.why.empty()) return;
  const double measured = *ours.value - *theirs.value;
  row.measured = fmt::format("{}: {}, {} {}", figure_text("_ns", measured), figure_text("_ns", *ours.value),
                             theirs.subject, figure_text("_ns", *theirs.value));
  row.verdict = verdict_of(measured, Bound::at_most, most_ns);
}

void Judge::value(int number, const std::string& what, const std::string& figure, const Found& ours,
                  double most) {
  TargetRow& row = this->row(number, what, {&ours});
  row.target = fmt::format("at most {}", figure_text(figure, most));
  if (!row.why.empty()) return;
  row.measured = figure_text(figure, *ours.value);
  row.verdict = verdict_of(*ours.value, Bound::at_most, most);
}

// The time that one event takes, from events a second.
Found time_each(Found found) {
  if (!found.value) return found;
  if (*found.value > 0) {
    found.value = 1e9 / *found.value;
  } else {
    found.value.reset();
    found.why = found.subject + " handled nothing";
  }
  return found;
}

void one_way(Judge& judge) {
  for (const char* size : {"8B", "64B", "256B", "1024B"}) {
    // What copies is compared with what copies; batches and work in place are one kind: whichever is best.
    const std::array<std::pair<const char*, std::vector<std::string>>, 2> kinds = {
        {{"single", {"single"}}, {"batch or in place", {"batch", "in_place"}}}};
    for (const auto& [kind, forms] : kinds) {
      std::vector<std::string> names;
      std::vector<std::string> parameters;
      for (const std::string& form : forms) {
        names.push_back(fmt::format("one_way/lane/{}/{}", size, form));
        parameters.push_back(fmt::format("{}/{}", size, form));
      }
      const bool is_promised_more = std::string_view{size} == "64B" && forms.size() == 1;
      judge.ratio(1, fmt::format("{}, {}", size, kind), "items_per_second",
                  judge.best("peers", names, "items_per_second"),
                  judge.best_peer("peers", "one_way", parameters, "items_per_second"), Bound::at_least,
                  is_promised_more ? 1.2 : 1.0, "the best peer");
    }
  }
}

void lane_round_trip(Judge& judge) {
  const std::string lane = "round_trip/lane/64B";
  const std::array<std::string, 1> parameters = {"64B"};
  judge.ratio(2, "p50", "p50_ns", judge.find("peers", lane, "p50_ns"),
              judge.find("peers", "round_trip/limit:one_line/64B", "p50_ns"), Bound::at_most, 1.15,
              "one line's ping-pong");
  judge.ratio(2, "p99.9", "p99.9_ns", judge.find("peers", lane, "p99.9_ns"),
              judge.best_peer("peers", "round_trip", parameters, "p99.9_ns"), Bound::at_most, 1.0,
              "the best peer");
}

void exactness(Judge& judge) {
  for (const auto& [batch, line] : {std::pair{"natural", 0.95}, {"1", 0.85}}) {
    judge.ratio(
        3, fmt::format("through a worker, batch {}", batch), "items_per_second",
        judge.find("hop", fmt::format("through/worker/batch:{}/stateless", batch), "items_per_second"),
        judge.find("hop", fmt::format("through/baseline:bare_loop/batch:{}/stateless", batch),
                   "items_per_second"),
        Bound::at_least, line, "the bare loop");
  }
  judge.difference_ns(3, "round trip, p50", judge.find("hop", "round_trip/worker/64B", "p50_ns"),
                      judge.find("hop", "round_trip/baseline:bare_loop/64B", "p50_ns"), 25, "the bare loop");
  judge.difference_ns(3, "table update", time_each(judge.find("hop", "table/undo", "items_per_second")),
                      time_each(judge.find("hop", "table/baseline:no_undo", "items_per_second")), 15,
                      "the same without undo");
}

void sleeping(Judge& judge) {
  judge.ratio(4, "parked round trip, p50", "p50_ns",
              judge.find("latency", "parked_round_trip/lane/64B", "p50_ns"),
              judge.find("latency", "parked_round_trip/baseline:eventfd/64B", "p50_ns"), Bound::at_most, 1.3,
              "a bare eventfd pair");
  judge.value(4, "64 idle workers", "cpu_percent", judge.find("scale", "idle/workers/64", "cpu_percent"),
              0.1);
}

void whole_pipeline(Judge& judge) {
  const std::string ours = "market/sluice";
  const std::string single = "market/baseline:single_thread";
  judge.ratio(5, "market, CPU time", "cpu_s", judge.find("pipeline", ours, "cpu_s"),
              judge.find("pipeline", single, "cpu_s"), Bound::at_most, 1.25, "one thread");
  judge.ratio(5, "market, wall time", "time_ns", judge.find("pipeline", ours, "time_ns"),
              judge.find("pipeline", single, "time_ns"), Bound::at_most, 0.65, "one thread");
  for (const auto& [peer, line] : {std::pair{"node_cluster", 20.0}, {"zeromq", 5.0}, {"pipe", 5.0}}) {
    judge.ratio(5, fmt::format("fan-out against {}", peer), "items_per_second",
                judge.find("pipeline", "fan_out/sluice", "items_per_second"),
                judge.find("pipeline", fmt::format("fan_out/peer:{}", peer), "items_per_second"),
                Bound::at_least, line, peer);
  }
}

void recovery(Judge& judge) {
  const Found limit = judge.find("recovery", "replacement/limit:fork_store/state:0B", "p50_ns");
  for (const char* state : {"0B", "1GiB"}) {
    const std::string name = fmt::format("replacement/sluice/state:{}", state);
    judge.ratio(6, fmt::format("{} of state, p50", state), "p50_ns", judge.find("recovery", name, "p50_ns"),
                limit, Bound::at_most, 2, "a bare kill, fork, store");
    judge.value(6, fmt::format("{} of state, p99", state), "p99_ns", judge.find("recovery", name, "p99_ns"),
                2e6);
  }
  judge.ratio(6, "the others meanwhile", "items_per_second",
              judge.find("recovery", "bystander/sluice/killing", "items_per_second"),
              judge.find("recovery", "bystander/baseline:undisturbed/killing", "items_per_second"),
              Bound::at_least, 0.95, "undisturbed");
}

void many_lanes(Judge& judge) {
  const std::array<std::string, 2> idle = {"lanes/worker/idle:255/active:1",
                                           "lanes/worker/idle:256/active:1"};
  Found alone = time_each(judge.find("scale", "lanes/worker/idle:0/active:1", "items_per_second"));
  alone.subject = "alone";
  judge.difference_ns(7, "an event beside 256 idle lanes",
                      time_each(judge.best("scale", idle, "items_per_second")), alone, 30, "alone");
}

void memory(Judge& judge) {
  constexpr double kPageBytes = 4096;
  judge.value(8, "a lane beyond its slots", "overhead_bytes",
              judge.find("scale", "memory/lane", "overhead_bytes"), 512 + kPageBytes);
  judge.value(8, "a worker", "private_bytes", judge.find("scale", "memory/worker", "private_bytes"), 1048576);
}

struct Target {
  std::string_view title;
  void (*judge)(Judge&);
};

constexpr std::array<Target, kTargets> kAll = {{
    {"A lane, one way, two processes, against the best peer of the same kind", one_way},
    {"A lane there and back, 64 B, two processes, spinning", lane_round_trip},
    {"The price of exactness", exactness},
    {"Sleeping and waking", sleeping},
    {"The whole pipeline", whole_pipeline},
    {"From SIGKILL to the replacement's first event", recovery},
    {"Many lanes, one of them active", many_lanes},
    {"Memory", memory},
}};

}  // namespace

std::string_view name_of(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::holds:
      return "holds";
    case Verdict::falls_short:
      return "falls short";
    case Verdict::not_measured:
      break;
  }
  return "not measured";
}

std::string_view title_of_target(int number) noexcept {
  return kAll[static_cast<std::size_t>(number - 1)].title;
}

std::vector<TargetRow> targets(const Report& report) {
  Judge judge{report};
  for (const Target& target : kAll)
    target.judge(judge);
  return judge.take();
}

}  // namespace sluice::bench
